// What steps send over HTTP: one request, what its answer means, and nothing secret in what is shown of it.

import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { messageOf, printable } from '../../shared/errors.ts'
import { type Done, StepError, trying } from './step.ts'

export interface Sending {
  readonly url: URL
  readonly method: string
  /** Added to Content-Type and User-Agent, or in their place. */
  readonly headers?: Readonly<Record<string, string>>
  /** JSON. */
  readonly body: string
  /** Never shown, even where the answer repeats them. What the URL has beside its host never is, either. */
  readonly secrets?: readonly string[]
  readonly signal: AbortSignal
}

/** Statuses below 500 that another time may be others: too slow, too early, too many. */
const RETRYABLE = new Set([408, 425, 429])
const ANSWER_READ_MAX = 4096
const ANSWER_SHOWN_MAX = 200
/** What is shorter is in too many answers by chance. */
const SECRET_LENGTH_MIN = 6

/** What a step does that sends one request. Throws a StepError. */
export async function deliver(sending: Sending, dryRun: boolean): Promise<Done> {
  const { url, method, body } = sending
  const size = `${Buffer.byteLength(body)} bytes`
  if (dryRun) return { outcome: 'dry_run', detail: `would ${method} ${size} to ${url.host}` }
  return { outcome: 'ok', detail: `${url.host} answered ${await send(sending)} to ${size}` }
}

/** Resolves with a status of 2xx. Throws a StepError otherwise; redirects are not followed. */
export async function send(sending: Sending): Promise<number> {
  const { url, method, body, signal } = sending
  const headers = new Headers({ 'Content-Type': 'application/json', 'User-Agent': 'falco-nats' })
  for (const [name, value] of Object.entries(sending.headers ?? {})) headers.set(name, value)
  const secrets = secretsOf(sending)
  const options = { method, headers, body, signal, redirect: 'manual' } as const
  const response = await fetch(url, options).catch((error: unknown) => {
    const why = signal.aborted ? 'did not answer in time' : `cannot be reached: ${messageOf(error)}`
    throw new StepError(hide(`${url.host} ${why}`, secrets), { retryable: true })
  })
  const { status, ok } = response
  const answer = ok ? '' : hide(await beginning(response, secrets), secrets)
  // What is not read would keep the connection.
  await response.body?.cancel().catch(() => {})
  if (ok) return status
  const excerpt = printable(answer.replace(/\s+/g, ' ').trim()).slice(0, ANSWER_SHOWN_MAX)
  const redirected = status >= 300 && status < 400 ? '; redirects are not followed' : ''
  throw new StepError(`${url.host} answered ${status}${excerpt && `: ${excerpt}`}${redirected}`, {
    retryable: status >= 500 || RETRYABLE.has(status),
  })
}

/** As much as is shown, and no secret that the end of it cuts in two. */
async function beginning(response: Response, [longest = 'x']: readonly string[]): Promise<string> {
  let text = ''
  try {
    for await (const part of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += part
      if (text.length > ANSWER_READ_MAX)
        return text.slice(0, Math.max(0, ANSWER_READ_MAX - longest.length))
    }
  } catch {
    // It broke off; what came is shown.
  }
  return text
}

/** Servers like to answer `Cannot POST /the/secret/path`. */
const hide = (text: string, secrets: readonly string[]) =>
  secrets.reduce((rest, secret) => rest.replaceAll(secret, '***'), text)

/** Longest first. */
function secretsOf({ url, secrets = [] }: Sending): string[] {
  const path = url.pathname + url.search
  // `Bearer abc` may be repeated as `abc`.
  const words = secrets.flatMap((secret) => [secret, ...secret.split(/\s+/)])
  const inPath = [path, url.pathname, ...path.split(/[/?&=]/), ...url.searchParams.values()]
  const parts = [...inPath, ...words]
  return [...new Set([...parts, ...parts.map(decoded)])]
    .filter((part) => part.length >= SECRET_LENGTH_MIN)
    .sort((a, b) => b.length - a.length)
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** A URL to send to. Throws an Error with what is allowed, which shows nothing of it. */
export function parseHttpUrl(text: string): URL {
  const url = URL.parse(text.trim())
  if (!url || !/^https?:$/.test(url.protocol))
    throw new Error('allowed: a URL with https:// or http://')
  // fetch refuses them, and shows them.
  if (url.username || url.password)
    throw new Error('allowed: a URL without user and password; a header from a file can have them')
  return url
}

export const httpUrl = z.string().transform(trying(parseHttpUrl))

/** The URL that a secret holds. Throws a StepError that names where it was looked for. */
export function secretUrl(text: string, where: string): URL {
  try {
    return parseHttpUrl(text)
  } catch (error) {
    throw new StepError(`${printable(where)}: ${messageOf(error)}`, { retryable: true })
  }
}

export const readSecretUrl = async (option: string, file: string, signal: AbortSignal) =>
  secretUrl(await readSecret(option, file, signal), `${option}: ${file}`)

/** Without the line breaks at its end. It may be in the middle of a rotation, so a failure is retryable. */
export async function readSecret(option: string, file: string, signal: AbortSignal) {
  const failure = (why: string) => new StepError(`${option}: ${why}`, { retryable: true })
  const text = await readFile(file, { encoding: 'utf8', signal }).catch((error: unknown) => {
    throw failure(`cannot read ${printable(file)}: ${messageOf(error)}`)
  })
  const secret = text.replace(/[\r\n]+$/, '')
  if (secret === '') throw failure(`${printable(file)} is empty`)
  return secret
}
