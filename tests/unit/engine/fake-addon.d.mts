import type { Addon } from '../../../src/native/addon.js';

export function loadAddon(): Addon;
export function behave(query: string): void;
export function takeLog(): string[];
