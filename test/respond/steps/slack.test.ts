import { writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { slack } from '../../../src/respond/steps/slack.ts'
import { StepError } from '../../../src/respond/steps/step.ts'
import { PRIORITIES } from '../../../src/shared/alert/alert.ts'
import { type HttpServer, startHttpServer } from '../../support/http-server.ts'
import { stepContext } from '../../support/step-context.ts'
import { type TempDir, tempDir } from '../../support/temp.ts'

let server: HttpServer
let dir: TempDir
beforeEach(async () => {
  server = await startHttpServer()
  dir = tempDir()
  writeFileSync(dir.file('url'), `${server.url}/services/T0/B0/s3cr3tToken\n`)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  dir[Symbol.dispose]()
  await server[Symbol.asyncDispose]()
})

const post = async (given: object = {}, context = stepContext()) =>
  slack.run(slack.params.parse({ webhookUrlFile: dir.file('url'), ...given }), context)
const sent = () => JSON.parse(server.received.at(-1)!.body)

it('posts what happened and where, as an incoming webhook wants it', async () => {
  expect(await post()).toEqual({
    outcome: 'ok',
    detail: expect.stringMatching(/^127\.0\.0\.1:\d+ answered 200 to \d+ bytes$/),
  })
  const [request] = server.received
  expect(request).toMatchObject({
    method: 'POST',
    path: '/services/T0/B0/s3cr3tToken',
    headers: { 'content-type': 'application/json' },
  })
  const [first, second, third] = sent().text.split('\n')
  expect(first).toBe(':rotating_light: *Critical* Terminal shell in container')
  expect(second).toBe('```A shell was spawned```')
  expect(third).toMatch(/^pod shop\/cart-1\b/)
  expect(sent()).toMatchObject({ unfurl_links: false, unfurl_media: false })
  expect(sent()).not.toHaveProperty('channel')
})

it('takes a channel, a text of its own, and the URL from a variable', async () => {
  vi.stubEnv('SLACK_URL', `${server.url}/from-env`)
  const params = slack.params.parse({
    webhookUrlEnv: 'SLACK_URL',
    channel: '#security',
    text: '<!here> {{ rule }} in {{ output_fields.k8s.pod.name }} tty {{ output_fields.proc.tty }} {{ id }}',
  })
  await slack.run(params, stepContext())
  expect(server.received[0]?.path).toBe('/from-env')
  expect(sent()).toMatchObject({
    channel: '#security',
    text: '<!here> Terminal shell in container in cart-1 tty 34816 AAAAAAAAAAAAAAAAAAAAAA',
  })
})

describe('what an alert says', () => {
  const hostile = '<!channel> & <https://evil|click> ``` \u202egnp.exe\x07'
  const alert = { priority: 'Notice', rule: hostile, output: hostile }

  it.each([{}, { text: 'look: {{ rule }}' }])('is no markup, with %j', async (given) => {
    await post(given, stepContext({ alert }))
    const { text } = sent()
    expect(text).toContain('&lt;!channel&gt; &amp; &lt;https://evil|click&gt;')
    for (const char of ['<', '>', '\u202e', '\u0007']) expect(text).not.toContain(char)
  })

  it('does not end the block that it stands in, nor the message', async () => {
    await post({}, stepContext({ alert: { ...alert, rule: 'r', output: '```x'.repeat(5000) } }))
    expect(sent().text.match(/```/g)).toHaveLength(2)
    expect(sent().text.length).toBeLessThan(4000)
  })

  it('may be next to nothing', async () => {
    await post({}, stepContext({ alert: { priority: 'odd', rule: 'r', output: 7 } }))
    expect(sent().text).toBe(':grey_question: *odd* r')
  })
})

it('has a sign for each priority', async () => {
  for (const priority of PRIORITIES) {
    await post({}, stepContext({ alert: { priority, rule: 'r' } }))
    expect(sent().text).toMatch(/^:[a-z_]+: \*/)
    expect(sent().text).not.toMatch(/question/)
  }
})

it('sends nothing in a dry run, and says what it would', async () => {
  const done = await post({}, stepContext({ dryRun: true }))
  expect(done.outcome).toBe('dry_run')
  expect(done.detail).toMatch(/^would POST \d+ bytes to 127\.0\.0\.1:\d+$/)
  expect(server.received).toEqual([])
})

it.each([
  [404, 'channel_not_found', false],
  [403, 'invalid_token', false],
  [429, '', true],
  [500, 'rollup_error', true],
])('fails with what Slack says: %i %s', async (status, reason, retryable) => {
  server.answer = (response) => void response.writeHead(status).end(reason)
  const error = await post().catch((error: unknown) => error)
  expect(error).toBeInstanceOf(StepError)
  expect(error).toMatchObject({
    retryable,
    message: `${server.host} answered ${status}${reason && `: ${reason}`}`,
  })
})

it('says which file is missing, empty, or no URL, and never what is in it', async () => {
  writeFileSync(dir.file('empty'), '\n')
  writeFileSync(dir.file('junk'), 's3cr3t')
  for (const [name, why] of [
    ['none', /^webhookUrlFile: cannot read .*none: ENOENT/],
    ['empty', /^webhookUrlFile: .*empty is empty$/],
    ['junk', /^webhookUrlFile: .*junk: allowed: a URL with https/],
  ] as const) {
    const error = await post({ webhookUrlFile: dir.file(name) }).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(StepError)
    expect(error).toMatchObject({ retryable: true, message: expect.stringMatching(why) })
    expect((error as StepError).message).not.toMatch(/s3cr3t/)
  }
  const params = slack.params.parse({ webhookUrlEnv: 'NO_SUCH_VARIABLE' })
  await expect(slack.run(params, stepContext())).rejects.toThrow(/NO_SUCH_VARIABLE is not set/)
})

it.each([
  {},
  { webhookUrlFile: 'a', webhookUrlEnv: 'B' },
  { webhookUrl: 'https://x' },
  { webhookUrlEnv: 'a=b' },
  { webhookUrlFile: 'a', text: '' },
])('refuses the parameters %j', (params) => {
  expect(slack.params.safeParse(params).success).toBe(false)
})
