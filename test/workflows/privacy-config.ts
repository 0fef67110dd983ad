import { defineConfig } from '@trunkline/channel-sdk/config';
import email from '@trunkline/plugin-email';
import testhook from '../support/test-plugin.ts';
import { askablePlugin, scriptedPlugin } from './scripted-plugin.ts';

/** Every kind of door: a test's own, a mail server, a webhook. */
export default defineConfig({ plugins: [scriptedPlugin, askablePlugin, email, testhook] });
