/** Where progress is written; standard error, so that standard output stays the answer. */
export type ProgressOutput = { readonly isTTY?: boolean; write(text: string): unknown };

/** One thing that takes time. */
export type Step = {
  /** What it is doing right now, in a few words. */
  readonly update: (detail: string) => void;
  /** It ended well; the text replaces the step's own. */
  readonly done: (text?: string) => void;
  /** It did not end well, and the caller goes on or throws. */
  readonly failed: (text?: string) => void;
};

/** Tells a person what goes on. */
export type Progress = {
  readonly step: (text: string) => Step;
  /** A line of its own, at once. */
  readonly note: (text: string) => void;
  /** Runs the function as a step; a failure marks it and is thrown on. */
  readonly during: <Value>(text: string, run: (step: Step) => Promise<Value>) => Promise<Value>;
};

/** What a progress needs to know. */
export type ProgressOptions = {
  readonly output?: ProgressOutput;
  /** Says nothing at all. */
  readonly quiet?: boolean;
};

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FRAME_MS = 100;
/** Nothing shorter than this is announced beforehand in plain lines. */
const PATIENCE_MS = 1_000;
const REPEAT_MS = 10_000;

/**
 * A spinner on a terminal; elsewhere plain lines: one when a step has lasted a second, one every ten seconds after,
 * one at its end. One step runs at a time; a step begun while another runs is shown in plain lines.
 */
export function createProgress(options: ProgressOptions = {}): Progress {
  const { output = process.stderr, quiet = false } = options;
  if (quiet) return silent;
  const startStep = output.isTTY === true ? spinnerSteps(output) : (text: string) => plainStep(text, output);
  return {
    step: startStep,
    note: (text) => void output.write(`${clear(output)}${text}\n`),
    async during(text, run) {
      const step = startStep(text);
      try {
        const value = await run(step);
        step.done();
        return value;
      } catch (error) {
        step.failed();
        throw error;
      }
    },
  };
}

function plainStep(text: string, output: ProgressOutput): Step {
  const started = Date.now();
  let detail = '';
  let ended = false;
  const say = () => void output.write(`… ${text}${detail && ` (${detail})`}, ${seconds(started)}\n`);
  const first = setTimeout(say, PATIENCE_MS);
  const repeat = setInterval(say, REPEAT_MS);
  return {
    update: (words) => void (detail = words),
    done: (words = text) => end(`✓ ${words}`),
    failed: (words = text) => end(`✗ ${words}`),
  };

  // A step ended twice says so once: `during` ends what its function may have ended in better words.
  function end(line: string) {
    if (ended) return;
    ended = true;
    clearTimeout(first);
    clearInterval(repeat);
    output.write(`${line} (${seconds(started)})\n`);
  }
}

function spinnerSteps(output: ProgressOutput): (text: string) => Step {
  let spinning = false;
  return (text) => {
    if (spinning) return plainStep(text, output);
    spinning = true;
    const started = Date.now();
    let detail = '';
    let frame = 0;
    let ended = false;
    const draw = () => {
      frame += 1;
      const sign = FRAMES[frame % FRAMES.length] ?? '…';
      output.write(`${clear(output)}${sign} ${text}${detail && ` (${detail})`} ${seconds(started)}`);
    };
    const timer = setInterval(draw, FRAME_MS);
    const end = (line: string) => {
      if (ended) return;
      ended = true;
      spinning = false;
      clearInterval(timer);
      output.write(`${clear(output)}${line} (${seconds(started)})\n`);
    };
    return {
      update: (words) => void (detail = words),
      done: (words = text) => end(`✓ ${words}`),
      failed: (words = text) => end(`✗ ${words}`),
    };
  };
}

function clear(output: ProgressOutput): string {
  return output.isTTY === true ? '\r\u001b[2K' : '';
}

function seconds(started: number): string {
  return `${((Date.now() - started) / 1000).toFixed(1)} s`;
}

const silentStep: Step = { update: () => {}, done: () => {}, failed: () => {} };
const silent: Progress = {
  step: () => silentStep,
  note: () => {},
  during: (_text, run) => run(silentStep),
};
