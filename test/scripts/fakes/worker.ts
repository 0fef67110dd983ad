import './ready-process.ts';
