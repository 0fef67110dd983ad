import { expect, it } from 'vitest';
import { EnvironmentError, readEnvironment } from '#runtime/environment.ts';

const read = (LISTEN_PORTS?: string) =>
  readEnvironment({
    DATABASE_URL: 'postgres://db.example/trunkline',
    TEMPORAL_ADDRESS: 'temporal.example:7233',
    TRUNKLINE_SECRET: 'ab'.repeat(32),
    ...(LISTEN_PORTS === undefined ? {} : { LISTEN_PORTS }),
  }).listenPorts;

it("reads the ports of the plugins' own servers, names the variable where it can not, and repeats no value [OPS-2]", () => {
  expect(read()).toBeUndefined();
  expect(read('')).toBeUndefined();
  expect(read(' sms=2600, other=0,')).toEqual(
    new Map([
      ['sms', 2600],
      ['other', 0],
    ]),
  );
  for (const wrong of ['sms', 'sms=', 'sms=99999', 'SMS=1', 'sms=1;other=2']) {
    expect(() => read(wrong)).toThrow(EnvironmentError);
    expect(() => read(wrong)).toThrow(/^The environment is not usable:\n {2}LISTEN_PORTS: is not <plugin>=<port>, [^\n]*$/);
  }
});
