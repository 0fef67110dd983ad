import { defineConfig } from '@trunkline/channel-sdk/config';
import { askablePlugin, flowingPlugin, scriptedPlugin } from './scripted-plugin.ts';

export default defineConfig({ plugins: [scriptedPlugin, askablePlugin, flowingPlugin] });
