import { describe, expect, it } from 'vitest';
import { defineConfig } from '../config.ts';
import { definition } from './fake-plugin.ts';

describe('defineConfig', () => {
  it('takes plugins that each have a key of their own [PLUG-8]', () => {
    const config = { plugins: [definition(), definition({ key: 'scanner' })] };
    expect(defineConfig(config)).toBe(config);
  });

  it('refuses two plugins with one key, naming it [PLUG-8]', () => {
    expect(() => defineConfig({ plugins: [definition(), definition()] })).toThrow('plugin "printer": another plugin has this key already');
  });

  it('names each wrong plugin and what is wrong with it in one error [PLUG-8]', () => {
    const wrong = [definition({ name: '' }), definition({ key: 'Nope' })];
    expect(() => defineConfig({ plugins: wrong })).toThrow(
      /^trunkline\.config\.ts can not be used:\n- plugin "printer": name: missing\n- plugin "Nope": key: /,
    );
  });
});
