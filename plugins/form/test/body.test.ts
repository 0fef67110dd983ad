import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readMultipart } from '../multipart.ts';
import { readSubmission } from '../submitted.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

describe('multipart bodies', () => {
  it('are read as the platform writes them, whatever names, values and bytes there are [FORM-2]', async () => {
    const value = fc.string({ unit: 'binary', maxLength: 40 }).map((text) => text.toWellFormed().replace(/\r\n|\r|\n/g, '\r\n'));
    const name = fc.string({ minLength: 1, maxLength: 20 }).map((text) => text.replace(/[\r\n]/g, '_'));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(name, value), { maxLength: 8 }),
        fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 3 }),
        async (texts, files) => {
          const data = new FormData();
          for (const [key, text] of texts) data.append(key, text);
          for (const content of files) data.append('file', new File([Buffer.from(content)], 'a "b" ü.bin'));
          const sent = new Response(data);
          const boundary = /boundary=(.*)$/.exec(sent.headers.get('content-type') ?? '')?.[1] ?? '';
          const parts = readMultipart(new Uint8Array(await sent.arrayBuffer()), boundary) ?? [];
          expect(parts.filter((part) => part.fileName === undefined).map((part) => [part.name, Buffer.from(part.content).toString()])).toEqual(texts);
          const read = parts.filter((part) => part.fileName !== undefined);
          expect(read.map((part) => Buffer.from(part.content).toString('hex'))).toEqual(files.map((one) => Buffer.from(one).toString('hex')));
          expect(new Set(read.map((part) => part.fileName))).toEqual(new Set(files.length === 0 ? [] : ['a "b" ü.bin']));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('that are broken off, or that come in a million parts, are none', () => {
    const part = '--b\r\ncontent-disposition: form-data; name="a"\r\n\r\nx\r\n';
    expect(readMultipart(bytes(`${part}--b--`), 'b')).toHaveLength(1);
    expect(readMultipart(bytes(part), 'b')).toBeUndefined();
    expect(readMultipart(bytes('--b\r\nno end of header'), 'b')).toBeUndefined();
    expect(readMultipart(bytes(''), 'b')).toBeUndefined();
    expect(readMultipart(bytes(`${part.repeat(501)}--b--`), 'b')).toBeUndefined();
  });

  it('give a file its name without a path, and leave out a file field that was left empty', () => {
    const file = (name: string, content: string) =>
      `--b\r\ncontent-disposition: form-data; name="f"; filename="${name}"\r\ncontent-type: image/png\r\n\r\n${content}\r\n`;
    const read = readSubmission(
      'multipart/form-data; boundary=b',
      bytes(`${file('C:\\temp\\a.png', 'x')}${file('', '')}${file('../../etc/passwd', 'y')}--b--`),
    );
    expect('files' in read && read.files.map(({ fileName, type, part }) => [fileName, type, part])).toEqual([
      ['a.png', 'image/png', 0],
      ['passwd', 'image/png', 2],
    ]);
  });
});

describe('other bodies', () => {
  it('a JSON object of texts, numbers and truths; what else stands in it is told [FORM-2]', () => {
    const read = readSubmission('application/json; charset=utf-8', bytes('{"a":"x","b":2,"c":true,"d":false,"e":null,"f":{},"g":[1]}'));
    if ('status' in read) throw new Error(read.message);
    expect(Object.fromEntries(read.values)).toEqual({ a: ['x'], b: ['2'], c: ['true'], d: [''] });
    expect([...read.wrongTypes]).toEqual(['f', 'g']);
  });

  it.each([
    ['application/json', '{', 400],
    ['application/json', '[]', 400],
    ['application/json', '"text"', 400],
    ['application/json', `{"a":"${'x'.repeat(1024 * 1024)}"}`, 413],
    ['application/x-www-form-urlencoded', 'a=1&'.repeat(1_001), 400],
    ['multipart/form-data', 'x', 400],
    ['multipart/form-data; boundary=b', 'x', 400],
    ['text/xml', '<a/>', 415],
    ['', '', 415],
  ])('%s that can not be read is told with its status [FORM-2]', (contentType, body, status) => {
    expect(readSubmission(contentType, bytes(body))).toMatchObject({ status });
  });
});
