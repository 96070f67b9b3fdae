// One request to the Kubernetes API, and what its failure means.

import {
  HttpMethod,
  IsomorphicFetchHttpLibrary,
  type KubeConfig,
  PatchStrategy,
  RequestContext,
} from '@kubernetes/client-node'
import { messageOf, printable } from '../../shared/errors.ts'
import { ApiError } from './errors.ts'

export interface ApiRequest {
  /** Verb and resource are those of a permission, and name the request in errors: `delete pods`. */
  readonly verb: keyof typeof METHODS
  readonly resource: string
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  readonly body?: unknown
  readonly signal: AbortSignal
}

const { GET, POST, PATCH, DELETE } = HttpMethod
const METHODS = { get: GET, list: GET, create: POST, patch: PATCH, delete: DELETE } as const

/** Long enough to save handshakes, short enough to notice renewed certificates. */
const KEEP_CONNECTIONS_MS = 300_000
const EXCERPT_CHARACTERS = 500

type Dispatcher = NonNullable<ReturnType<RequestContext['getDispatcher']>>

/** Calls give the bytes of the answer, at most `limit` of them, and throw an ApiError. */
export function createCall(config: KubeConfig) {
  const server = config.getCurrentCluster()?.server.replace(/\/+$/, '')
  const http = new IsomorphicFetchHttpLibrary()
  let kept: { dispatcher: Dispatcher; until: number } | undefined

  /** The client opens a connection for each request unless it is given those of the last one. */
  function keepConnections(context: RequestContext): void {
    const now = performance.now()
    const fresh = context.getDispatcher()
    if (kept && now < kept.until) context.setDispatcher(kept.dispatcher)
    else if (fresh) {
      // Those that still carry a request end after it.
      kept?.dispatcher.close().catch(() => {})
      kept = { dispatcher: fresh, until: now + KEEP_CONNECTIONS_MS }
    }
  }

  return async (request: ApiRequest, limit = Infinity): Promise<Buffer> => {
    const { verb, resource, path, query = {}, body, signal } = request
    const what = `${verb} ${resource}`
    try {
      signal.throwIfAborted()
      const context = new RequestContext(`${server}${path}`, METHODS[verb])
      for (const [name, value] of Object.entries(query))
        if (value !== undefined) context.setQueryParam(name, String(value))
      context.setHeaderParam('Accept', 'application/json, */*')
      context.setHeaderParam('User-Agent', 'falco-nats')
      if (body !== undefined) {
        const type = verb === 'patch' ? PatchStrategy.MergePatch : 'application/json'
        context.setHeaderParam('Content-Type', type)
        context.setBody(JSON.stringify(body))
      }
      context.setSignal(signal)
      await config.applySecurityAuthentication(context)
      keepConnections(context)
      const { httpStatusCode: status, body: answer } = await http.send(context).toPromise()
      const bytes = await readAll(answer.stream(), limit)
      if (status >= 200 && status < 300) return bytes
      throw refusal(what, status, bytes.toString())
    } catch (error) {
      if (error instanceof ApiError) throw error
      const why = signal.aborted ? 'no answer in time' : messageOf(error)
      throw new ApiError(`${what}: ${why}`, { cause: error })
    }
  }
}

/** In the server's own words; in those of a proxy before it, where the answer is not JSON. */
function refusal(what: string, status: number, text: string): ApiError {
  let answer: { message?: unknown; reason?: unknown } = {}
  try {
    answer = JSON.parse(text) ?? {}
  } catch {}
  const message = typeof answer.message === 'string' && answer.message ? answer.message : text
  const shown = message.replace(/\s+/g, ' ').trim().slice(0, EXCERPT_CHARACTERS)
  const reason = typeof answer.reason === 'string' ? answer.reason : ''
  return new ApiError(printable(`${what}: ${shown || `status ${status}`}`), { status, reason })
}

async function readAll(stream: ReadableStream<Uint8Array> | null, limit: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of stream ?? []) {
    chunks.push(chunk)
    length += chunk.length
    if (length >= limit) break
  }
  return Buffer.concat(chunks, Math.min(length, limit))
}
