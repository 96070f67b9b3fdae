// webhook: sends JSON to a URL, signed if there is a secret: on-call, SOAR, anything that takes a request.

import { createHmac } from 'node:crypto'
import { z } from 'zod'
import { printable } from '../../shared/errors.ts'
import { httpUrl, parseHttpUrl, readSecret, secretUrl, send } from './http.ts'
import { type Step, type StepContext, StepError } from './step.ts'
import { fill } from './template.ts'

const SIGNATURE = 'X-Falco-Nats-Signature'
/** Ours, or the connection's. */
const TAKEN = new Set([
  'connection',
  'content-length',
  'expect',
  'idempotency-key',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
  SIGNATURE.toLowerCase(),
])

const headerName = z.string().superRefine((name, context) => {
  if (!/^[\w!#$%&'*+.^`|~-]{1,128}$/.test(name))
    context.addIssue({ code: 'custom', message: 'allowed: the name of a header' })
  else if (TAKEN.has(name.toLowerCase()))
    context.addIssue({ code: 'custom', message: 'this header is set by falco-nats itself' })
})
/** Printable ASCII: others would be an error of fetch, which shows the value. */
const HEADER_VALUE = /^[ -~\t]*$/
const headerValue = z.string().regex(HEADER_VALUE, 'allowed: printable ASCII')

const params = z
  .strictObject({
    url: httpUrl.optional().describe('or `urlFile`'),
    urlFile: z.string().min(1).optional(),
    method: z.enum(['POST', 'PUT', 'PATCH']).default('POST'),
    headers: z.record(headerName, headerValue).default({}),
    /** Files with their values: a token that must not be in the file of playbooks. */
    headersFiles: z.record(headerName, z.string().min(1)).default({}),
    body: z.json().optional().describe('JSON with templates; none: the alert'),
    secretFile: z.string().min(1).optional(),
  })
  .refine(({ url, urlFile }) => (url === undefined) !== (urlFile === undefined), {
    message: 'allowed: one of url and urlFile',
  })

type Params = z.infer<typeof params>

export const webhook: Step<Params> = {
  name: 'webhook',
  params,
  target: 'none',
  repeatable: false,
  rules: () => [],
  async run(params, context) {
    const { alert, id, subject, playbook, index, dryRun, signal } = context
    const url = await urlOf(params, signal)
    const body = JSON.stringify(
      params.body === undefined ? alert : fill(params.body, { ...alert, id, subject, playbook }),
    )
    const fromFiles = await headersOf(params, signal)
    const secret = params.secretFile && (await readSecret('secretFile', params.secretFile, signal))
    const size = `${Buffer.byteLength(body)} bytes`
    if (dryRun)
      return { outcome: 'dry_run', detail: `would ${params.method} ${size} to ${url.host}` }
    const headers = new Headers({ 'Content-Type': 'application/json', 'User-Agent': 'falco-nats' })
    for (const [name, value] of Object.entries({ ...params.headers, ...fromFiles }))
      headers.set(name, value)
    headers.set('Idempotency-Key', `${id}-${playbook}-${index}`)
    if (secret) headers.set(SIGNATURE, signatureOf(body, secret, Math.floor(Date.now() / 1000)))
    const status = await send({
      url,
      method: params.method,
      headers: Object.fromEntries(headers),
      body,
      secrets: [...Object.values(params.headers), ...Object.values(fromFiles), secret ?? ''],
      signal,
    })
    return { outcome: 'ok', detail: `${url.host} answered ${status} to ${size}` }
  },
}

/** Of time and body, so that what was sent once cannot be sent again later. */
export function signatureOf(body: string, secret: string, unixSeconds: number): string {
  const hmac = createHmac('sha256', secret).update(`${unixSeconds}.${body}`).digest('hex')
  return `t=${unixSeconds},v1=${hmac}`
}

async function urlOf({ url, urlFile }: Params, signal: AbortSignal): Promise<URL> {
  if (url !== undefined) return parseHttpUrl(url)
  return secretUrl(await readSecret('urlFile', urlFile!, signal), `urlFile: ${urlFile}`)
}

async function headersOf(
  { headersFiles }: Params,
  signal: StepContext['signal'],
): Promise<Record<string, string>> {
  const values: Record<string, string> = {}
  for (const [name, file] of Object.entries(headersFiles)) {
    const value = await readSecret(`headersFiles.${name}`, file, signal)
    if (!HEADER_VALUE.test(value))
      throw new StepError(
        `headersFiles.${name}: ${printable(file)} is not one line of printable ASCII`,
        { retryable: true },
      )
    values[name] = value
  }
  return values
}
