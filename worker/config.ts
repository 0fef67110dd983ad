import config from '#config';

export default config;

/** Where the parsing threads find the same config. */
export const configUrl: string = import.meta.resolve('#config');
