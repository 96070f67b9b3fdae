// webhook: sends JSON to a URL, signed if there is a secret: on-call, SOAR, anything that takes a request.

import { createHmac } from 'node:crypto'
import { z } from 'zod'
import { printable } from '../../shared/errors.ts'
import { deliver, httpUrl, parseHttpUrl, readSecret, readSecretUrl } from './http.ts'
import { type Step, StepError } from './step.ts'
import { fill } from './template.ts'

const SIGNATURE = 'X-Falco-Nats-Signature'
/** Ours, or the connection's. */
const TAKEN =
  /^(connection|content-length|expect|idempotency-key|keep-alive|transfer-encoding|upgrade|x-falco-nats-signature)$/i

const headerName = z
  .string()
  .regex(/^[\w!#$%&'*+.^`|~-]{1,128}$/, 'allowed: the name of a header')
  .refine((name) => !TAKEN.test(name), 'this header is set by falco-nats itself')
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
  async run(params, { alert, id, subject, playbook, index, dryRun, signal }) {
    const { method, headers, secretFile } = params
    const url = await urlOf(params, signal)
    const body = JSON.stringify(
      params.body === undefined ? alert : fill(params.body, { ...alert, id, subject, playbook }),
    )
    const fromFiles = await headersOf(params, signal)
    const secret =
      secretFile === undefined ? '' : await readSecret('secretFile', secretFile, signal)
    const ours = {
      'Idempotency-Key': `${id}-${playbook}-${index}`,
      ...(secret && { [SIGNATURE]: signatureOf(body, secret, Math.floor(Date.now() / 1000)) }),
    }
    const secrets = [...Object.values(headers), ...Object.values(fromFiles), secret]
    const sending = {
      url,
      method,
      headers: { ...headers, ...fromFiles, ...ours },
      body,
      secrets,
      signal,
    }
    return deliver(sending, dryRun)
  },
}

/** Of time and body, so that what was sent once cannot be sent again later. */
export function signatureOf(body: string, secret: string, unixSeconds: number): string {
  const hmac = createHmac('sha256', secret).update(`${unixSeconds}.${body}`).digest('hex')
  return `t=${unixSeconds},v1=${hmac}`
}

const urlOf = async ({ url, urlFile }: Params, signal: AbortSignal): Promise<URL> =>
  url === undefined ? readSecretUrl('urlFile', urlFile!, signal) : parseHttpUrl(url)

async function headersOf({ headersFiles }: Params, signal: AbortSignal) {
  const values: Record<string, string> = {}
  for (const [name, file] of Object.entries(headersFiles)) {
    const option = `headersFiles.${name}`
    const value = await readSecret(option, file, signal)
    if (!HEADER_VALUE.test(value)) {
      const why = `${printable(file)} is not one line of printable ASCII`
      throw new StepError(`${option}: ${why}`, { retryable: true })
    }
    values[name] = value
  }
  return values
}
