// MCP over streamable HTTP. The 2026 protocol has no sessions. Each 2025 client gets one, so that a cancel, which arrives
// as a separate request, finds the call that it refers to.
import { randomUUID } from 'node:crypto';
import {
  createMcpHandler,
  isLegacyRequest,
  type McpServerFactory,
  WebStandardStreamableHTTPServerTransport,
} from '@modelcontextprotocol/server';
import { LIMITS } from '../shared/limits.js';
import type { Logger } from '../shared/log.js';

const maxRequestBodySize = 2 * LIMITS.pictureLength + 2 ** 20;
const MAX_SESSIONS = 64;

interface Session {
  transport: WebStandardStreamableHTTPServerTransport;
  close(): Promise<void>;
}

export class McpHttpDoor {
  readonly #factory: McpServerFactory;
  readonly #modern: ReturnType<typeof createMcpHandler>;
  /** Least recently used first. */
  readonly #sessions = new Map<string, Session>();
  readonly #logger: Logger;

  constructor(factory: McpServerFactory, logger: Logger) {
    this.#factory = factory;
    this.#logger = logger;
    this.#modern = createMcpHandler(factory, {
      legacy: 'reject',
      maxRequestBodySize,
      onerror: (error) => logger.debug({ error }, 'MCP request'),
    });
  }

  async fetch(request: Request): Promise<Response> {
    const legacy = await isLegacyRequest(request, undefined, { maxRequestBodySize });
    if (!legacy) return this.#modern.fetch(request);
    const id = request.headers.get('mcp-session-id');
    if (id === null) return this.#open(request);
    const session = this.#sessions.get(id);
    if (!session) return refuse(404, 'There is no such session; initialize again.');
    this.#sessions.delete(id);
    this.#sessions.set(id, session);
    return session.transport.handleRequest(request);
  }

  async close(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    await Promise.allSettled([this.#modern.close(), ...sessions.map((session) => session.close())]);
  }

  async #open(request: Request): Promise<Response> {
    const transport: WebStandardStreamableHTTPServerTransport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      maxRequestBodySize,
      onsessioninitialized: (id) => this.#keep(id, { transport, close: () => server.close() }),
      onsessionclosed: (id) => void this.#sessions.delete(id),
    });
    const server = await this.#factory({ era: 'legacy', requestInfo: request });
    await server.connect(transport);
    const response = await transport.handleRequest(request);
    if (transport.sessionId === undefined) await server.close();
    return response;
  }

  #keep(id: string, session: Session): void {
    this.#sessions.set(id, session);
    for (const [oldest, { close }] of this.#sessions) {
      if (this.#sessions.size <= MAX_SESSIONS) break;
      this.#sessions.delete(oldest);
      void close().catch((error) => this.#logger.debug({ error }, 'MCP session'));
    }
  }
}

function refuse(status: number, message: string): Response {
  return Response.json({ jsonrpc: '2.0', error: { code: -32_001, message }, id: null }, { status });
}
