import email from '@trunkline/plugin-email';
import form from '@trunkline/plugin-form';
import { defineConfig } from '@trunkline/channel-sdk/config';

/** The only file that names plugins. */
export default defineConfig({ plugins: [email, form] });
