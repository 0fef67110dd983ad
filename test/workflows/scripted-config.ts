import { defineConfig } from '@trunkline/channel-sdk/config';
import { askablePlugin, scriptedPlugin } from './scripted-plugin.ts';

export default defineConfig({ plugins: [scriptedPlugin, askablePlugin] });
