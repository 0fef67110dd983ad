import type { Plugin } from '@trunkline/channel-sdk';
import held from './held-plugin.ts';

/** The config of worlds whose channel's provider holds a history. */
const config: { readonly plugins: readonly Plugin[] } = { plugins: [held] };
export default config;
export const configUrl: string = import.meta.url;
