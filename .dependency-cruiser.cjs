// Node runs TypeScript itself, also through require: the rules are made from the one table (scripts/checks/layers.ts).
const { LAYERS, CONFIG_READERS } = require('./scripts/checks/layers.ts');

const escape = (text) => text.replace(/[.\\/]/g, '\\$&');
/** `workflows/contract` → that module; `domain` → everything in it. */
const within = (name) => (name.endsWith('.ts') ? `^${escape(name)}$` : name.includes('/') ? `^${escape(name)}\\.ts$` : `^${escape(name)}/`);
const OURS = LAYERS.map(({ folder }) => within(folder)).concat('^scripts/', '^test/');

const layerRules = LAYERS.flatMap(({ folder, code, types, packages }) => {
  const mine = folder === 'plugins' ? '^plugins/([^/]+)/' : within(folder);
  const own = folder === 'plugins' ? '^plugins/$1/' : within(folder);
  // Checked by the rule about the config's readers.
  const config = within('trunkline.config.ts');
  const rules = [
    {
      name: `${folder}-imports`,
      comment: `${folder} may import: ${[...code, ...types.map((one) => `types of ${one}`)].join(', ') || 'nothing of ours'}`,
      severity: 'error',
      from: { path: mine },
      to: { path: OURS, pathNot: [own, config, ...[...code, ...types].map(within)] },
    },
  ];
  if (types.length > 0) {
    rules.push({
      name: `${folder}-types-only`,
      comment: `${folder} may import only types of: ${types.join(', ')}`,
      severity: 'error',
      from: { path: mine },
      to: { path: types.map(within), dependencyTypesNot: ['type-only'] },
    });
  }
  if (packages !== undefined) {
    rules.push({
      name: `${folder}-packages`,
      comment: `${folder} may import of packages: ${packages.join(', ') || 'none'}`,
      severity: 'error',
      from: { path: mine, pathNot: '/test/' },
      to: { path: '^node_modules/', pathNot: packages.map((one) => `^node_modules/${escape(one)}/`) },
    });
  }
  return rules;
});

module.exports = {
  forbidden: [
    ...layerRules,
    {
      name: 'config-readers',
      comment: 'Only the two entries, scripts and tests know which plugins there are.',
      severity: 'error',
      from: { pathNot: [...CONFIG_READERS.map(within), '^scripts/', '^test/', '/test/'] },
      to: { path: within('trunkline.config.ts') },
    },
    {
      name: 'no-circular-code',
      comment: 'A circle of imports that run (a circle of types alone is harmless) makes the order of start a matter of luck.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'not-to-unresolvable', comment: 'An import that leads nowhere.', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'not-to-test',
      comment: 'What runs does not depend on tests.',
      severity: 'error',
      from: { pathNot: ['^test/', '/test/', '^scripts/'] },
      to: { path: ['^test/', '/test/'], pathNot: '^node_modules/' },
    },
  ],
  options: {
    parser: 'swc',
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: ['^\\.trunkline/'] },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      mainFiles: ['index'],
      extensions: ['.ts', '.js', '.mjs', '.cjs', '.json'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
