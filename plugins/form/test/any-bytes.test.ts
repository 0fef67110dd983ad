import fc from 'fast-check';
import { expect, it } from 'vitest';
import { anySubmission, submissionOf } from './any-submission.ts';
import { form } from './support.ts';

it('takes in whatever it is sent, or answers 4xx with what is wrong; what it took in can be read [FORM-2]', async () => {
  const statuses = new Map<number, number>();
  const page = form();
  const hidden = await page.open();
  page.clock += 5_000;
  await fc.assert(
    fc.asyncProperty(anySubmission, async (made) => {
      const { path, accept } = made;
      page.delivered.length = 0;
      const response = await page.ask(path, await submissionOf(made, hidden));
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
      const answer = await response.text();
      expect(response.status).toBeLessThan(500);
      if (response.status === 422 && accept !== 'text/html' && path === '/submissions') {
        const { errors } = JSON.parse(answer) as { errors: readonly { field: unknown; message: unknown }[] };
        expect(errors.length).toBeGreaterThan(0);
        for (const { field, message } of errors) expect([typeof field, typeof message]).toEqual(['string', 'string']);
      }
      if (page.delivered.length > 0) {
        expect([201, 303]).toContain(response.status);
        const message = await page.parsed();
        expect(message.contact?.value).toMatch(/^\S+@\S+$/);
        expect(message.text.isWellFormed() && !message.text.includes('\0')).toBe(true);
        expect(message.text).not.toContain('Source');
      }
    }),
    { numRuns: 10_000 },
  );
  // It was not all refused for one reason.
  for (const status of [201, 303, 400, 403, 405, 415, 422]) expect(statuses.get(status) ?? 0, `${status}`).toBeGreaterThan(20);
});
