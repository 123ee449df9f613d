import { describe, expect, it } from 'vitest';
import { createProgress, formatDuration } from '../../../src/cli/progress.js';
import { formatBytes, formatTable } from '../../../src/cli/table.js';

function watch(isTTY: boolean, images = 1) {
  let text = '';
  let time = 0;
  const target = { isTTY, columns: 100, write: (chunk: string) => (text += chunk) };
  const view = createProgress(target, images, () => time);
  return {
    view,
    step(step: number, seconds: number, image = 0, steps = 10) {
      time += seconds * 1000;
      const whole = { pass: 1, passes: 1, done: image * steps + step, total: images * steps };
      view.onProgress({ phase: 'denoise', image, step, steps, ...whole });
    },
    /** One of ten steps in one of two passes. */
    passStep(pass: number, step: number, seconds: number) {
      time += seconds * 1000;
      const whole = { pass, passes: 2, done: (pass - 1) * 10 + step, total: 20 };
      view.onProgress({ phase: 'denoise', image: 0, step, steps: 10, ...whole });
    },
    text: () => text,
    /** What the terminal shows at the moment. */
    shown: () => text.split('\r').at(-1)!.replace('\x1b[K', ''),
  };
}

describe('on a terminal', () => {
  it('shows step, speed and time left', () => {
    const bar = watch(true);
    bar.step(0, 0);
    bar.step(1, 0.5);
    bar.step(2, 0.5);
    expect(bar.shown()).toBe('steps ██████░░░░░░░░░░░░░░░░░░░░░░ 2/10  2.0 it/s  4 s left');
    bar.step(10, 4);
    expect(bar.shown()).toContain('10/10');
    bar.view.end();
    expect(bar.shown()).toBe('');
  });

  it('switches to seconds per step when it is slow, and counts the whole batch', () => {
    const bar = watch(true, 2);
    bar.step(0, 0);
    bar.step(1, 45);
    expect(bar.shown()).toContain('steps 1/2');
    expect(bar.shown()).toContain('1/10  45.0 s/it  14:15 left');
    bar.step(5, 180, 1);
    expect(bar.shown()).toContain('steps 2/2');
  });

  it('fits the width of the terminal, and skips redraws between fast steps', () => {
    const bar = watch(true);
    for (let i = 0; i <= 10; i++) bar.step(i, 0.001);
    expect(bar.text().split('\r').length).toBeLessThan(6);
    expect(bar.shown()).toContain('10/10');
    expect(
      Math.max(
        ...bar
          .text()
          .split('\r')
          .map((line) => line.length),
      ),
    ).toBeLessThan(104);
  });

  it('times each pass of hires fix separately', () => {
    const bar = watch(true);
    bar.passStep(1, 0, 0);
    bar.passStep(1, 10, 100);
    expect(bar.shown()).toContain('10.0 s/it');
    bar.passStep(2, 0, 5);
    bar.passStep(2, 5, 20);
    expect(bar.shown()).toContain('steps (pass 2/2)');
    expect(bar.shown()).toContain('5/10  4.0 s/it  20 s left');
  });

  it('shows the place in the queue', () => {
    const bar = watch(true);
    bar.view.onPosition(3);
    expect(bar.shown()).toBe('waiting, place 3 …');
  });
});

describe('piped', () => {
  it('is one line per phase', () => {
    const lines = watch(false);
    const whole = { pass: 1, passes: 1, done: 10, total: 10 };
    for (const phase of ['load', 'encode'] as const)
      lines.view.onProgress({ phase, image: 0, step: 0, steps: 10, ...whole, done: 0 });
    for (let i = 0; i <= 10; i++) lines.step(i, 1);
    lines.view.onProgress({ phase: 'decode', image: 0, step: 0, steps: 10, ...whole });
    lines.view.end();
    expect(lines.text()).toBe('loading\nprompt\nsteps (10)\ndecoding\n');
  });
});

describe('figures', () => {
  it('are readable', () => {
    expect([7.4, 65, 3729].map(formatDuration)).toEqual(['7 s', '1:05', '1:02:09']);
    expect([900, 35_400_000, 4.27e9].map(formatBytes)).toEqual(['1 kB', '35 MB', '4.3 GB']);
    expect(
      formatTable([
        ['a', 'bb'],
        ['ccc', 'd'],
      ]),
    ).toBe('a    bb\nccc  d\n');
  });
});
