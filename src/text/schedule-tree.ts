// The brackets of a prompt as a tree: which are emphasis, which schedule words, which are only text.

/** Text as it stands, or brackets that mean something. */
export type ScheduleNode =
  | string
  /** Emphasis: it stays in the text, and what is inside may change. */
  | { kind: 'group'; open: string; content: ScheduleNode[]; close: string }
  /** [from:to:when] */
  | { kind: 'switch'; from: ScheduleNode[]; to: ScheduleNode[]; when: string }
  /** [a|b|c] */
  | { kind: 'turns'; choices: ScheduleNode[][] };

/** An open bracket and what was read behind it: parts, and the colons and bars between them. */
interface Frame {
  open: string;
  parts: ScheduleNode[][];
  separators: string[];
}

// a backslash takes the next character with it
const lexeme = /\\.|[()[\]:|]|[^\\()[\]:|]+/y;
const number = /^\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*$/;

/**
 * Undefined where the WebUI's grammar does not take the prompt, which then has no schedule at all: a bar outside of
 * [a|b], or a backslash with nothing behind it. Brackets that don't pair up are text, and so are those around them.
 */
export function parseScheduleTree(prompt: string): ScheduleNode[] | undefined {
  const top: ScheduleNode[] = [];
  const stack: Frame[] = [];
  const current = () => stack.at(-1)?.parts.at(-1) ?? top;
  /** Makes text of all open brackets; false where that leaves a bar on its own. */
  const flatten = (): boolean => {
    for (const { open, parts, separators } of stack.splice(0)) {
      if (separators.includes('|')) return false;
      top.push(open);
      for (const [i, part] of parts.entries()) {
        if (i > 0) top.push(separators[i - 1]!);
        for (const node of part) top.push(node);
      }
    }
    return true;
  };

  lexeme.lastIndex = 0;
  for (let at = 0; at < prompt.length; at = lexeme.lastIndex) {
    lexeme.lastIndex = at;
    const found = lexeme.exec(prompt)?.[0];
    if (found === undefined) return undefined;
    const frame = stack.at(-1);
    if (found === '(' || found === '[') stack.push({ open: found, parts: [[]], separators: [] });
    else if (found === ':' || found === '|') {
      if (frame) {
        frame.separators.push(found);
        frame.parts.push([]);
      } else if (found === ':') top.push(found);
      else return undefined;
    } else if (found === ')' || found === ']') {
      const node = frame && closeFrame(frame, found);
      if (node) {
        stack.pop();
        current().push(node);
      } else {
        if (!flatten()) return undefined;
        top.push(found);
      }
    } else current().push(found);
  }
  return flatten() ? top : undefined;
}

/** What a pair of brackets means; undefined where it means nothing. */
function closeFrame({ open, parts, separators }: Frame, close: string): ScheduleNode | undefined {
  if ((open === '(') !== (close === ')')) return undefined;
  const [first = [], second = []] = parts;
  if (separators.length === 0) return { kind: 'group', open, content: first, close };
  if (open === '(') {
    if (separators.join('') !== ':') return undefined;
    return { kind: 'group', open, content: [...first, ':', ...second], close };
  }
  if (separators.every((separator) => separator === '|')) return { kind: 'turns', choices: parts };
  const last = parts.at(-1)!;
  const when = last.every((node) => typeof node === 'string') ? number.exec(last.join(''))?.[1] : undefined;
  if (when === undefined || separators.includes('|') || parts.length > 3) return undefined;
  return parts.length === 3
    ? { kind: 'switch', from: first, to: second, when }
    : { kind: 'switch', from: [], to: first, when };
}
