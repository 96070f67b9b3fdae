// One request to the Kubernetes API, and what its failure means.

import {
  type HttpMethod,
  IsomorphicFetchHttpLibrary,
  type KubeConfig,
  RequestContext,
} from '@kubernetes/client-node'
import { messageOf, printable } from '../../shared/errors.ts'
import { StepError } from '../steps/step.ts'
import { ApiError } from './errors.ts'

export interface ApiRequest {
  /** For people: `delete pods`. */
  readonly what: string
  readonly method: HttpMethod
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  readonly body?: unknown
  readonly contentType?: string
  readonly signal: AbortSignal
}

/** Long enough to save handshakes, short enough to notice renewed certificates. */
const KEEP_CONNECTIONS_MS = 300_000
const EXCERPT_CHARACTERS = 500

type Dispatcher = NonNullable<ReturnType<RequestContext['getDispatcher']>>

/** The bytes of the answer, at most `limit` of them. Throws a StepError. */
export type Call = (request: ApiRequest, limit?: number) => Promise<Buffer>

export function createCall(config: KubeConfig): Call {
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

  return async (
    { what, method, path, query = {}, body, contentType, signal },
    limit = Infinity,
  ) => {
    try {
      signal.throwIfAborted()
      const context = new RequestContext(`${server}${path}`, method)
      for (const [name, value] of Object.entries(query))
        if (value !== undefined) context.setQueryParam(name, String(value))
      context.setHeaderParam('Accept', 'application/json, */*')
      context.setHeaderParam('User-Agent', 'falco-nats')
      if (body !== undefined) {
        context.setHeaderParam('Content-Type', contentType ?? 'application/json')
        context.setBody(JSON.stringify(body))
      }
      context.setSignal(signal)
      await config.applySecurityAuthentication(context)
      keepConnections(context)
      const answer = await http.send(context).toPromise()
      const bytes = await readAll(answer.body.stream(), limit)
      if (answer.httpStatusCode >= 200 && answer.httpStatusCode < 300) return bytes
      throw refusal(what, answer.httpStatusCode, bytes.toString())
    } catch (error) {
      if (error instanceof StepError) throw error
      const why = signal.aborted ? 'no answer in time' : messageOf(error)
      throw new StepError(`${what}: ${why}`, { retryable: true, cause: error })
    }
  }
}

/** In the server's own words; in those of what stands before it, where it does not write JSON. */
function refusal(what: string, status: number, text: string): ApiError {
  let said: { message?: unknown; reason?: unknown } = {}
  try {
    said = JSON.parse(text) ?? {}
  } catch {}
  const words = typeof said.message === 'string' && said.message ? said.message : text.trim()
  const shown = words.replace(/\s+/g, ' ').slice(0, EXCERPT_CHARACTERS)
  const reason = typeof said.reason === 'string' ? said.reason : ''
  return new ApiError(printable(`${what}: ${shown || `status ${status}`}`), status, reason)
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
