import { describe, expect, it } from 'vitest';
import { clipBegin, clipEnd, encodeClip, padClip } from '../../../src/text/clip-tokenizer.js';
import { goldenCase } from '../../golden.js';

interface GoldenPrompt {
  prompt: string;
  ids: number[];
  open_clip_same: boolean;
  open_clip_ids77?: number[];
}

const golden = goldenCase('clip-tokenizer');

describe('CLIP tokenizer against the reference ids', () => {
  const prompts = golden.json<GoldenPrompt[]>('prompts.json');

  it.each(prompts)('$prompt', ({ prompt, ids, open_clip_same, open_clip_ids77 }) => {
    expect([clipBegin, ...encodeClip(prompt), clipEnd]).toEqual(ids);
    const openClip = padClip(encodeClip(prompt, 'openclip'), 0);
    const inner = ids.slice(1, -1);
    expect([...openClip]).toEqual(open_clip_same ? [...padClip(inner, 0)] : open_clip_ids77);
  });
});
