// A fake Hugging Face hub on 127.0.0.1: lists files with size and sha256, sends ranges, and misbehaves as a test asks.
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FileRequest {
  path: string;
  /** First and last requested byte; undefined without a Range header. */
  range: { first: number; last: number } | undefined;
  authorization: string | undefined;
  /** How many file requests came before this one. */
  count: number;
}

/** Answers in place of the hub. Returns false to leave the answer to the hub. */
export type Fault = (request: FileRequest, response: ServerResponse, content: Buffer) => boolean;

export class FakeHub {
  readonly files = new Map<string, Buffer>();
  readonly requests: FileRequest[] = [];
  readonly listings: IncomingMessage[] = [];
  /** What the listing says instead of the truth. */
  listed: { size?: number; oid?: string } = {};
  fault: Fault = () => false;
  /** Also answers for the listing. */
  gate: (request: IncomingMessage, response: ServerResponse) => boolean = () => false;
  #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      if (this.gate(request, response)) return;
      if (request.url!.startsWith('/api/models/')) this.#list(request, response);
      else this.#send(request, response);
    });
  }

  static async start(): Promise<FakeHub> {
    const hub = new FakeHub();
    await new Promise<void>((resolve) => hub.#server.listen(0, '127.0.0.1', resolve));
    return hub;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** `path` is OWNER/NAME/PATH. */
  put(path: string, bytes: number): Buffer {
    const content = Buffer.alloc(bytes);
    for (let at = 0, value = 1; at < bytes; at++) {
      value = (value * 48_271) % 2_147_483_647;
      content[at] = value;
    }
    this.files.set(path, content);
    return content;
  }

  #list(request: IncomingMessage, response: ServerResponse): void {
    this.listings.push(request);
    const repo = request.url!.split('/').slice(3, 5).join('/');
    let body = '';
    request.setEncoding('utf8').on('data', (text) => {
      body += text;
    });
    request.on('end', () => {
      const { paths } = JSON.parse(body) as { paths: string[] };
      const found = paths.flatMap((path) => {
        const content = this.files.get(`${repo}/${path}`);
        if (!content) return [];
        const lfs = { oid: sha256(content), size: content.length, pointerSize: 134, ...this.listed };
        return [{ type: 'file', path, oid: 'f'.repeat(40), size: lfs.size, lfs }];
      });
      response.setHeader('content-type', 'application/json').end(JSON.stringify(found));
    });
  }

  #send(request: IncomingMessage, response: ServerResponse): void {
    const path = decodeURIComponent(request.url!.slice(1)).replace('/resolve/main/', '/');
    const content = this.files.get(path);
    if (!content) {
      response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end();
      return;
    }
    const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const range = match ? { first: Number(match[1]), last: Number(match[2]) } : undefined;
    const asked = { path, range, authorization: request.headers.authorization, count: this.requests.length };
    this.requests.push(asked);
    if (this.fault(asked, response, content)) return;
    sendRange(response, content, range);
  }
}

export function sendRange(response: ServerResponse, content: Buffer, range: FileRequest['range']): void {
  if (!range) {
    response.writeHead(200, { 'content-length': content.length }).end(content);
    return;
  }
  const part = content.subarray(range.first, range.last + 1);
  const contentRange = `bytes ${range.first}-${range.last}/${content.length}`;
  response.writeHead(206, { 'content-length': part.length, 'content-range': contentRange }).end(part);
}

export function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
