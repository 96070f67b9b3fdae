// webhook: sends JSON to a URL, signed if there is a secret: on-call, SOAR, anything that takes a request.

import { createHmac } from 'node:crypto'
import { z } from 'zod'
import { printable } from '../../shared/errors.ts'
import { deliver, httpUrl, readSecret, readSecretUrl } from './http.ts'
import { defineStep, StepError } from './step.ts'
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

export const webhook = defineStep({
  name: 'webhook',
  params: z
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
    .refine(
      ({ url, urlFile }) => (url === undefined) !== (urlFile === undefined),
      'allowed: one of url and urlFile',
    ),
  async run(params, { alert, id, subject, playbook, index, dryRun, signal }) {
    const { urlFile, method, headersFiles, body: template, secretFile } = params
    const url = params.url ?? (await readSecretUrl('urlFile', urlFile!, signal))
    const fields = { ...alert, id, subject, playbook }
    const body = JSON.stringify(template === undefined ? alert : fill(template, fields))
    const given = { ...params.headers, ...(await readHeaders(headersFiles, signal)) }
    const secret = secretFile && (await readSecret('secretFile', secretFile, signal))
    const headers = {
      ...given,
      'Idempotency-Key': `${id}-${playbook}-${index}`,
      ...(secret && { [SIGNATURE]: signatureOf(body, secret, Math.floor(Date.now() / 1000)) }),
    }
    const secrets = [...Object.values(params.headers), ...Object.values(given), secret ?? '']
    return deliver({ url, method, headers, body, secrets, signal }, dryRun)
  },
})

/** Of time and body, so that what was sent once cannot be sent again later. */
export function signatureOf(body: string, secret: string, unixSeconds: number): string {
  const hmac = createHmac('sha256', secret).update(`${unixSeconds}.${body}`).digest('hex')
  return `t=${unixSeconds},v1=${hmac}`
}

async function readHeaders(files: Readonly<Record<string, string>>, signal: AbortSignal) {
  const values: Record<string, string> = {}
  for (const [name, file] of Object.entries(files)) {
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
