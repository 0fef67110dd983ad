// Stands for a process that cannot start.
console.error('this process is broken');
process.exit(3);
