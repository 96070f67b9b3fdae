import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseHttpUrl, type Sending, send } from '../../../src/respond/steps/http.ts'
import { StepError } from '../../../src/respond/steps/step.ts'
import { type HttpServer, startHttpServer } from '../../support/http-server.ts'
import { until } from '../../support/wait.ts'

let server: HttpServer
beforeEach(async () => {
  server = await startHttpServer()
})
afterEach(() => server[Symbol.asyncDispose]())

const sending = (more: Partial<Sending> = {}): Sending => ({
  url: new URL(`${server.url}/services/T0000/B0000/s3cr3tToken?key=anotherS3cret`),
  method: 'POST',
  headers: { 'X-Key': 'headerS3cret' },
  body: '{"a":1}',
  secrets: ['headerS3cret'],
  signal: new AbortController().signal,
  ...more,
})

async function failure(more: Partial<Sending> = {}): Promise<StepError> {
  const error = await send(sending(more)).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(StepError)
  expect((error as StepError).message).toMatch(/^[ -~]+$/)
  expect((error as StepError).message).not.toMatch(/s3cr3t/i)
  return error as StepError
}

it('sends, and takes any 2xx', async () => {
  server.answer = (response) => void response.writeHead(204).end()
  expect(await send(sending())).toBe(204)
  expect(server.received).toMatchObject([
    { method: 'POST', body: '{"a":1}', headers: { 'x-key': 'headerS3cret' } },
  ])
})

it.each([
  [400, false],
  [401, false],
  [403, false],
  [404, false],
  [408, true],
  [409, false],
  [410, false],
  [425, true],
  [429, true],
  [500, true],
  [502, true],
  [503, true],
])('says what %i was, and whether it may pass: %s', async (status, retryable) => {
  server.answer = (response) => void response.writeHead(status).end('invalid\n\x1b[31m payload é')
  const error = await failure()
  expect(error.message).toBe(
    `${server.host} answered ${status}: invalid \\u{1b}[31m payload \\u{e9}`,
  )
  expect(error.retryable).toBe(retryable)
  expect(server.received).toHaveLength(1)
})

it.each([301, 302, 303, 307, 308])('does not follow %i', async (status) => {
  server.answer = (response) => void response.writeHead(status, { Location: '/s3cr3t' }).end()
  const error = await failure()
  expect(error.message).toBe(`${server.host} answered ${status}; redirects are not followed`)
  expect(error.retryable).toBe(false)
  expect(server.received).toHaveLength(1)
})

it('gives up on a server that hangs before its answer', async () => {
  const stop = new AbortController()
  server.answer = () => stop.abort(new Error('the time is over'))
  const error = await failure({ signal: stop.signal })
  expect(error.message).toBe(`${server.host} did not answer in time`)
  expect(error.retryable).toBe(true)
})

it('ends with the time where the answer never does, and keeps no connection', async () => {
  const stop = new AbortController()
  let over = false
  server.answer = (response) => {
    response.on('close', () => {
      over = true
    })
    response.writeHead(500)
    // Whether headers or the end of the time come first is the system's to say.
    response.write('half an ans', () => stop.abort())
  }
  const error = await failure({ signal: stop.signal })
  expect(error.message).toMatch(/ (answered 500: half an ans|did not answer in time)$/)
  expect(error.retryable).toBe(true)
  await until('the connection is over', () => over)
})

it('says what it has of an answer that breaks off', async () => {
  server.answer = (response) => {
    response.writeHead(503)
    response.write('half an ans', () => response.socket?.destroySoon())
  }
  expect((await failure()).message).toBe(`${server.host} answered 503: half an ans`)
})

it('shows nothing of a secret that is longer than what it reads, cut in two by the network', async () => {
  const secret = `Bearer ${'S3CRET'.repeat(800)}`
  server.answer = (response) => {
    response.writeHead(401)
    response.write(`invalid token: ${secret.slice(0, 4500)}`, () => {
      setImmediate(() => response.end(secret.slice(4500)))
    })
  }
  const { message } = await failure({ secrets: [secret] })
  expect(message).toMatch(/ answered 401/)
  expect(message).not.toContain('S3CRET')
})

it('does not read a 2xx that never ends', async () => {
  let over = false
  server.answer = (response) => {
    response.on('close', () => {
      over = true
    })
    response.writeHead(200)
    response.write('x')
  }
  expect(await send(sending())).toBe(200)
  await until('the connection is over', () => over)
})

it('shows 200 characters of a flood', async () => {
  server.answer = (response) => void response.writeHead(400).end('x'.repeat(1_000_000))
  expect((await failure()).message).toBe(`${server.host} answered 400: ${'x'.repeat(200)}`)
})

describe('secrets', () => {
  it.each<[string, (path: string) => string]>([
    ['the path', (path) => `Cannot POST ${path}`],
    ['parts of it', () => 'no s3cr3tToken and no anotherS3cret here'],
    ['a header', () => 'the key headerS3cret is unknown'],
    ['a flood of them', (path) => path.repeat(1000)],
    ['a flood of them, cut elsewhere', (path) => `12345678901${path.repeat(1000)}`],
    ['the header, cut', () => `${' '.repeat(4090)}headerS3cret`],
  ])('does not show %s in the answer', async (_, text) => {
    server.answer = (response, { path }) => void response.writeHead(404).end(text(path))
    expect((await failure()).message).toMatch(/ answered 404/)
  })

  it('does not show a part of a secret that the end of what is read cuts', async () => {
    // Blanks are shown as one, so that the cut is within what is shown.
    server.answer = (response) =>
      void response.writeHead(400).end(`${' '.repeat(4090)}headerS3cret`)
    expect((await failure()).message).not.toMatch(/header/)
  })

  it('shows the host alone where there is nobody', async () => {
    const gone = createServer().listen(0, '127.0.0.1')
    await once(gone, 'listening')
    const { port } = gone.address() as { port: number }
    gone.close()
    await once(gone, 'close')
    const error = await failure({ url: new URL(`http://127.0.0.1:${port}/s3cr3tToken`) })
    expect(error.message).toMatch(
      /^127\.0\.0\.1:\d+ cannot be reached: fetch failed .*ECONNREFUSED/,
    )
    expect(error.retryable).toBe(true)
  })

  it('says so when the connection breaks', async () => {
    server.answer = (response) => void response.socket?.destroy()
    const error = await failure()
    expect(error.message).toMatch(/ cannot be reached: fetch failed/)
    expect(error.retryable).toBe(true)
  })

  it.each([
    '',
    'x',
    'ftp://h/s3cr3t',
    'file:///s3cr3t',
    'javascript:s3cr3t',
    'https://u:s3cr3t@h',
    'http://',
  ])('refuses the URL %j without showing it', (text) => {
    expect(() => parseHttpUrl(text)).toThrow(/^allowed: a URL/)
    expect(() => parseHttpUrl(text)).not.toThrow(/s3cr3t/)
  })
})
