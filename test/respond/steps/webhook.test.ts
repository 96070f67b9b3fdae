import { createHmac } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { StepError } from '../../../src/respond/steps/step.ts'
import { signatureOf, webhook } from '../../../src/respond/steps/webhook.ts'
import { type HttpServer, startHttpServer } from '../../support/http-server.ts'
import { stepContext } from '../../support/step-context.ts'
import { type TempDir, tempDir } from '../../support/temp.ts'

let server: HttpServer
let dir: TempDir
beforeEach(async () => {
  server = await startHttpServer()
  dir = tempDir()
})
afterEach(async () => {
  dir[Symbol.dispose]()
  await server[Symbol.asyncDispose]()
})

const call = async (given: object = {}, context = stepContext()) =>
  webhook.run(webhook.params.parse({ url: `${server.url}/hook`, ...given }), context)

function secretFile(name: string, text: string): string {
  writeFileSync(dir.file(name), text)
  return dir.file(name)
}

it('posts the alert itself, with a key that is the same each time', async () => {
  const context = stepContext()
  for (let time = 0; time < 2; time++)
    expect(await call({}, context)).toEqual({
      outcome: 'ok',
      detail: expect.stringMatching(/^127\.0\.0\.1:\d+ answered 200 to \d+ bytes$/),
    })
  for (const request of server.received) {
    expect(request).toMatchObject({
      method: 'POST',
      path: '/hook',
      headers: {
        'content-type': 'application/json',
        'idempotency-key': 'AAAAAAAAAAAAAAAAAAAAAA-on-call-0',
        'user-agent': 'falco-nats',
      },
    })
    expect(request.headers).not.toHaveProperty('x-falco-nats-signature')
    expect(JSON.parse(request.body)).toEqual(context.alert)
  }
  expect(server.received).toHaveLength(2)
})

it('fills a body, takes a method, and headers from the file and from files', async () => {
  await call({
    url: undefined,
    urlFile: secretFile('url', `${server.url}/incidents\n`),
    method: 'PUT',
    headers: { 'content-type': 'application/vnd.pagerduty+json', 'X-Team': 'blue' },
    headersFiles: { Authorization: secretFile('auth', 'Token s3cr3t\r\n') },
    body: {
      summary: '{{ rule }} in {{ output_fields.k8s.pod.name }}',
      tty: '{{ output_fields.proc.tty }}',
      dedup: '{{ id }} {{ playbook }} {{ subject }}',
    },
  })
  const [request] = server.received
  expect(request).toMatchObject({
    method: 'PUT',
    path: '/incidents',
    headers: {
      'content-type': 'application/vnd.pagerduty+json',
      'x-team': 'blue',
      authorization: 'Token s3cr3t',
    },
  })
  expect(JSON.parse(request!.body)).toEqual({
    summary: 'Terminal shell in container in cart-1',
    tty: 34816,
    dedup: 'AAAAAAAAAAAAAAAAAAAAAA on-call falco.critical.terminal_shell_in_container',
  })
})

it('signs time and body', async () => {
  const before = Math.floor(Date.now() / 1000)
  await call({ secretFile: secretFile('key', 'hmacS3cret\n'), body: { text: 'ü {{ rule }}' } })
  const { headers, body } = server.received[0]!
  const [, time, mac] =
    /^t=(\d+),v1=([\da-f]{64})$/.exec(String(headers['x-falco-nats-signature'])) ?? []
  expect(Number(time)).toBeGreaterThanOrEqual(before)
  expect(Number(time)).toBeLessThanOrEqual(Date.now() / 1000)
  expect(mac).toBe(createHmac('sha256', 'hmacS3cret').update(`${time}.${body}`).digest('hex'))
})

it('signs as others would', () => {
  // printf '%s' '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
  expect(signatureOf('{"a":1}', 'key', 1_700_000_000)).toBe(
    't=1700000000,v1=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03',
  )
})

it('sends nothing in a dry run, but reads what it needs', async () => {
  const dry = stepContext({ dryRun: true })
  expect(await call({ body: 'x' }, dry)).toEqual({
    outcome: 'dry_run',
    detail: `would POST 3 bytes to ${server.host}`,
  })
  await expect(call({ secretFile: dir.file('none') }, dry)).rejects.toThrow(/^secretFile: cannot/)
  expect(server.received).toEqual([])
})

it('shows no secret when it fails, whatever the answer repeats', async () => {
  server.answer = (response, { path, headers }) =>
    void response
      .writeHead(400)
      .end(
        `${path} ${headers.authorization} ${headers['x-team']} hmacS3cret ${String(headers.authorization).slice(7)} no good`,
      )
  const error = await call({
    url: `${server.url}/t0ken-s3cr3t`,
    headers: { 'X-Team': 's3cr3t-team' },
    headersFiles: { Authorization: secretFile('auth', 'Bearer s3cr3tBearer') },
    secretFile: secretFile('key', 'hmacS3cret'),
  }).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(StepError)
  expect((error as StepError).message).toBe(
    `${server.host} answered 400: *** *** *** *** *** no good`,
  )
})

it('refuses what a file has for a header and must not, without showing it', async () => {
  for (const text of ['a\nX-Injected: s3cr3t', 's3cr3t\u00e9', 's3cr3t\0']) {
    const headersFiles = { Authorization: secretFile('auth', text) }
    const error = await call({ headersFiles }).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(StepError)
    expect((error as StepError).message).toMatch(
      /^headersFiles\.Authorization: .* is not one line of printable ASCII$/,
    )
  }
  expect(server.received).toEqual([])
})

it('gives up on a server that hangs', async () => {
  const stop = new AbortController()
  server.answer = () => stop.abort()
  await expect(call({}, stepContext({ signal: stop.signal }))).rejects.toMatchObject({
    name: 'StepError',
    retryable: true,
    message: `${server.host} did not answer in time`,
  })
})

it.each([
  [{}],
  [{ url: 'https://x', urlFile: 'y' }],
  [{ url: 'ftp://x' }],
  [{ url: 'https://u:p@x' }],
  [{ url: 'https://x', method: 'GET' }],
  [{ url: 'https://x', headers: { 'a b': 'x' } }],
  [{ url: 'https://x', headers: { a: 'x\ny' } }],
  [{ url: 'https://x', headers: { 'content-LENGTH': '1' } }],
  [{ url: 'https://x', headersFiles: { 'X-Falco-Nats-Signature': 'f' } }],
  [{ url: 'https://x', secret: 'key' }],
])('refuses the parameters %j', (params) => {
  expect(webhook.params.safeParse(params).success).toBe(false)
})
