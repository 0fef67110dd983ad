import email from '@trunkline/plugin-email';
import form from '@trunkline/plugin-form';
import { defineConfig } from '@trunkline/channel-sdk/config';
import testhook, { testhookMute } from './test-plugin.ts';

/** The configuration of tests: the built-in channels and the two that can be told what to do. */
export default defineConfig({ plugins: [email, form, testhook, testhookMute] });
