// Cleans a prompt before CLIP's tokenizer splits it into words. There are two published ways: that of Hugging Face's
// tokenizer (SD 1.x, SDXL, FLUX.1; all models in ComfyUI and diffusers), and that of OpenCLIP (SD 2.x in the WebUI),
// which runs ftfy first.

// Unicode's white space; JavaScript's \s differs a little.
const whiteSpace = /\p{White_Space}+/gu;

/** NFC, single spaces, lower case letter by letter: a letter's place in the word changes nothing. */
export function cleanAsHuggingFace(text: string): string {
  return text
    .normalize('NFC')
    .replace(whiteSpace, ' ')
    .replace(/[^\0-\x7f]|[A-Z]+/gu, (letters) => letters.toLowerCase());
}

/**
 * OpenCLIP's way: ftfy's repairs, HTML entities, single spaces, lower case. ftfy's guesses at wrongly decoded text
 * ("cafÃ©") are left out.
 */
export function cleanAsOpenClip(text: string): string {
  const repaired = repair(text.includes('<') ? text : unescapeHtml(text));
  return unescapeHtml(unescapeHtml(repaired)).replace(openClipSpace, ' ').trim().toLowerCase();
}

// Python's \s, which OpenCLIP uses.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these separators count as white space there
const openClipSpace = /[\p{White_Space}\x1c-\x1f]+/gu;

/** The repairs of ftfy 6, in its order. */
function repair(text: string): string {
  return (
    text
      .replace(/[\x80-\x9f]/g, (c) => windows1252[c.charCodeAt(0) - 0x80] || c)
      .replace(/[ĲĳŉǄ-ǌǱ-ǳﬀ-ﬆ]/g, (ligature) => (ligature === 'ﬅ' ? 'ſt' : ligature.normalize('NFKC')))
      .replace(/[\u3000\uff01-\uffef]/g, (wide) => wide.normalize('NFKC'))
      .replace(/[\u02bc\u2018-\u201b]/g, "'")
      .replace(/[\u201c-\u201f]/g, '"')
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it removes
      .replace(/\x1b\[[\d;]*[a-zA-Z]/g, '')
      // biome-ignore lint/suspicious/noControlCharactersInRegex: as above
      .replace(/[\0-\x08\x0b\x0e-\x1f\x7f\u206a-\u206f\ufeff\ufff9-\ufffc]/g, '')
      .normalize('NFC')
  );
}

const windows1252 = [...'€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ'];

// Names that HTML also accepts without the semicolon: Latin-1's from U+00A0 on, and five more.
const latin1 =
  'nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn yuml'.split(
    ' ',
  );
const entities = new Map<string, string>([
  ...latin1.map((name, i): [string, string] => [name, String.fromCodePoint(0xa0 + i)]),
  ...Object.entries({ amp: '&', lt: '<', gt: '>', quot: '"', AMP: '&', LT: '<', GT: '>', QUOT: '"' }),
  ...Object.entries({ COPY: '©', REG: '®' }),
]);
const entitiesWithSemicolon = new Map<string, string>([
  ...entities,
  ...Object.entries({ apos: "'", hellip: '…', mdash: '—', ndash: '–', lsquo: '‘', rsquo: '’', ldquo: '“' }),
  ...Object.entries({ rdquo: '”', sbquo: '‚', bdquo: '„', bull: '•', euro: '€', trade: '™', hearts: '♥' }),
  ...Object.entries({ larr: '←', uarr: '↑', rarr: '→', darr: '↓', infin: '∞', ne: '≠', le: '≤', ge: '≥' }),
]);

/** Decodes numeric references and common names; an unknown name stays as it is. */
function unescapeHtml(text: string): string {
  return text.replace(/&(?:#(\d+|[xX][0-9a-fA-F]+);?|([a-zA-Z][a-zA-Z0-9]{0,31})(;?))/g, decodeEntity);
}

function decodeEntity(found: string, number: string | undefined, name: string, end: string): string {
  if (number !== undefined) return decodeCodePoint(Number(/^[xX]/.test(number) ? `0${number}` : number));
  if (end && entitiesWithSemicolon.has(name)) return entitiesWithSemicolon.get(name)!;
  for (let length = name.length; length > 1; length--) {
    const known = entities.get(name.slice(0, length));
    if (known !== undefined) return known + name.slice(length) + end;
  }
  return found;
}

function decodeCodePoint(code: number): string {
  if (code >= 0x80 && code <= 0x9f) return windows1252[code - 0x80]!;
  if (code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return '\ufffd';
  return String.fromCodePoint(code);
}
