// The command `falco-nats respond` as a process: modes, exit codes, signals, what is served.

import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import { connect } from 'nats'
import { expect, it } from 'vitest'
import { falcoNats, runFalcoNats } from '../support/cli.ts'
import { numberedAlert } from '../support/fixtures.ts'
import { startHttpServer } from '../support/http-server.ts'
import { createStream, readStream, startNats, subscribe } from '../support/nats.ts'
import { get, SCRAPED } from '../support/scrape.ts'
import { tempDir } from '../support/temp.ts'
import { until } from '../support/wait.ts'

const program = [process.execPath, new URL('../../src/respond/main.ts', import.meta.url).pathname]
const SUBJECT = 'falco.notice.terminal_shell_in_container'

const fileOf = (url: string, top = '') => `${top}
playbooks:
  - name: call
    on: [falco.notice.>]
    steps:
      - webhook: { url: "${url}/" }
`

/** Answers each call when it is told to. */
async function openHook() {
  const calls: (() => void)[] = []
  const server = await startHttpServer()
  server.answer = (response) => calls.push(() => response.end('ok'))
  return Object.assign(server, { calls })
}

let published = 0

/** One that was not there before: the same bytes again would be the same alert. */
async function publish(url: string): Promise<void> {
  await using connection = await connect({ servers: url })
  connection.publish(SUBJECT, numberedAlert(published++))
  await connection.flush()
}

it('says that it is dry, tells what it would do, and serves what it counts', async () => {
  using dir = tempDir()
  await using server = await startNats(`jetstream { store_dir: "${dir.file('js')}" }`)
  await createStream(server.url)
  await using subscriber = await subscribe(server.url)
  writeFileSync(dir.file('p.yaml'), fileOf('http://127.0.0.1:1'))
  const args = ['--config', dir.file('p.yaml'), '--server', server.url, ...SCRAPED]
  await using running = falcoNats(args, { program })
  expect((await running.logged('DRY RUN')).level).toBe('warn')
  await running.logged('waiting for alerts')
  await publish(server.url)
  const told = await until('the outcome is told', () =>
    subscriber.messages.find(({ subject }) => subject.startsWith('falco.response.')),
  )
  expect(told.subject).toBe('falco.response.call.webhook.dry_run')
  expect((await get(running, '/readyz')).status).toBe(200)
  expect(await (await get(running, '/metrics')).text()).toContain(
    'falco_nats_respond_steps_total{playbook="call",step="webhook",outcome="dry_run"} 1',
  )
  running.child.kill('SIGTERM')
  expect(await running.exited()).toBe(0)
  expect(running.log().at(-1)).toMatchObject({ msg: 'done', done: 1 })
})

it('takes nothing from a responder that is for real when it is dry', async () => {
  using dir = tempDir()
  await using server = await startNats(`jetstream { store_dir: "${dir.file('js')}" }`)
  await createStream(server.url)
  await using hook = await openHook()
  writeFileSync(dir.file('p.yaml'), `${fileOf(hook.url, 'dryRun: false')}    concurrency: 20\n`)
  const args = ['--config', dir.file('p.yaml'), '--server', server.url]
  await using real = falcoNats(args, { program })
  await using dry = falcoNats([...args, '--dry-run'], { program })
  for (const running of [real, dry]) await running.logged('waiting for alerts')
  for (let n = 0; n < 20; n++) await publish(server.url)
  await until('all are acted upon', () => hook.calls.length === 20)
  for (const answer of hook.calls) answer()
  const would = () => dry.log().filter(({ outcome }) => outcome === 'dry_run')
  await until('all would be acted upon', () => would().length === 20)
})

it('finishes what runs at the first signal, and ends at the second', async () => {
  using dir = tempDir()
  await using server = await startNats(`jetstream { store_dir: "${dir.file('js')}" }`)
  await createStream(server.url)
  await using hook = await openHook()
  writeFileSync(dir.file('p.yaml'), fileOf(hook.url, 'dryRun: false'))
  const args = ['--config', dir.file('p.yaml'), '--server', server.url]
  for (const patient of [true, false]) {
    await using running = falcoNats(args, { program })
    await running.logged('waiting for alerts')
    hook.calls.length = 0
    await publish(server.url)
    await until('the hook is called', () => hook.calls.length > 0)
    running.child.kill('SIGTERM')
    await running.logged('stopping')
    if (patient) hook.calls[0]!()
    else running.child.kill('SIGTERM')
    expect(await running.exited()).toBe(0)
    expect(running.log().at(-1)).toMatchObject(patient ? { done: 1 } : { done: 0, retried: 1 })
  }
})

it('keeps in the stream what it gave up, as much of it as a message may have', async () => {
  using dir = tempDir()
  await using server = await startNats(
    `max_payload: 65536\njetstream { store_dir: "${dir.file('js')}" }`,
  )
  await createStream(server.url)
  const file = `${fileOf('http://127.0.0.1:1', 'dryRun: false')}    maxDeliver: 1\n`
  writeFileSync(dir.file('p.yaml'), file)
  const args = ['--config', dir.file('p.yaml'), '--server', server.url]
  await using running = falcoNats(args, { program })
  await running.logged('waiting for alerts')
  const alert = JSON.stringify({ rule: 'r', priority: 'Notice', output: 'x'.repeat(65_000) })
  await using connection = await connect({ servers: server.url })
  connection.publish(SUBJECT, alert)
  const { reason } = await running.logged('gave up an alert')
  expect(reason).toMatch(/^webhook: .* cannot be reached.* \(tried once\)$/)
  const stored = await readStream(server.url)
  const dead = stored.find(({ subject }) => subject === 'falco.dead_letter.call')
  expect(dead?.headers?.get('Falco-Respond-Cut-From')).toBe(String(alert.length))
  expect(alert.startsWith(dead!.data.toString())).toBe(true)
  expect(dead!.data.length).toBe(65_536 - 2048)
})

it('says nothing but its log with many workers at work', async () => {
  using dir = tempDir()
  await using server = await startNats(`jetstream { store_dir: "${dir.file('js')}" }`)
  await createStream(server.url)
  await using hook = await openHook()
  const file = `${fileOf(hook.url, 'dryRun: false')}    concurrency: 16\n`
  writeFileSync(dir.file('p.yaml'), file)
  const args = ['--config', dir.file('p.yaml'), '--server', server.url]
  await using running = falcoNats(args, { program })
  await running.logged('waiting for alerts')
  for (let n = 0; n < 16; n++) await publish(server.url)
  await until('all run at a time', () => hook.calls.length === 16)
  running.child.kill('SIGTERM')
  for (const answer of hook.calls) answer()
  expect(await running.exited()).toBe(0)
  expect(running.log().at(-1)).toMatchObject({ msg: 'done', done: 16 })
  const lines = running.stderr().trimEnd().split('\n')
  expect(lines.filter((line) => !line.startsWith('{'))).toEqual([])
})

it('warns of the weaker promise where no stream takes the subjects, and acts', async () => {
  using dir = tempDir()
  await using server = await startNats()
  await using hook = await openHook()
  writeFileSync(dir.file('p.yaml'), fileOf(hook.url, 'dryRun: false'))
  const args = ['--config', dir.file('p.yaml'), '--server', server.url]
  await using running = falcoNats(args, { program })
  const { why } = await running.logged('core NATS: ')
  expect(why).toBe('this NATS account has no JetStream: have it enabled')
  await until('the hook is called', async () => {
    await publish(server.url)
    return hook.calls.length > 0
  })
  for (const answer of hook.calls) answer()
  await running.logged('a step is done')
})

it('waits for a server that is not there', async () => {
  using dir = tempDir()
  await using server = await startNats('', { started: false })
  writeFileSync(dir.file('p.yaml'), fileOf('http://127.0.0.1:1'))
  const args = ['--config', dir.file('p.yaml'), '--server', server.url, '--core']
  await using running = falcoNats(args, { program })
  await running.logged('cannot connect, will keep trying')
  await server.start()
  await running.logged('connected')
  await running.logged('core NATS: ')
})

it('ends at a stop while a server that takes it in says nothing', async () => {
  using dir = tempDir()
  writeFileSync(dir.file('p.yaml'), fileOf('http://127.0.0.1:1'))
  const sockets: Socket[] = []
  const mute = createTcpServer((socket) => {
    sockets.push(socket.on('error', () => {}))
  })
  mute.listen(0, '127.0.0.1')
  await once(mute, 'listening')
  const url = `nats://127.0.0.1:${(mute.address() as AddressInfo).port}`
  const args = ['--config', dir.file('p.yaml'), '--server', url]
  await using running = falcoNats(args, { program })
  await until('it is taken in', () => sockets.length > 0)
  // A dial gives up by itself after twenty seconds.
  const begun = performance.now()
  running.child.kill('SIGTERM')
  expect(await running.exited()).toBe(0)
  expect(performance.now() - begun).toBeLessThan(15_000)
  for (const socket of sockets) socket.destroy()
  mute.close()
})

it('prints all of a long text into a pipe that is slow', async () => {
  using dir = tempDir()
  const one = (n: number) => `- {name: p${n}, on: falco.>, steps: [{cordon-node: {}}]}`
  const many = Array.from({ length: 3000 }, (_, n) => one(n)).join('\n')
  writeFileSync(dir.file('p.yaml'), `playbooks:\n${many}\n`)
  const check = `"$@" respond --config "${dir.file('p.yaml')}" --check | { sleep 1; wc -l; }`
  const { stdout } = spawnSync('sh', ['-c', check, 'sh', ...program], { encoding: 'utf8' })
  expect(Number(stdout)).toBe(3002)
})

it('ends with 2 and a line where the file is wrong, and prints what it is asked to', async () => {
  using dir = tempDir()
  writeFileSync(dir.file('bad.yaml'), 'playbooks: [{ nam: x }]')
  const bad = await runFalcoNats(['--config', dir.file('bad.yaml')], { program })
  expect(bad.code).toBe(2)
  expect(bad.stderr).toMatch(/^falco-nats: .*bad\.yaml:1:.*\n$/)
  writeFileSync(dir.file('p.yaml'), fileOf('http://127.0.0.1:1'))
  writeFileSync(dir.file('a.json'), numberedAlert(1))
  const config = ['--config', dir.file('p.yaml')]
  const check = await runFalcoNats([...config, '--check'], { program })
  expect(check.stdout.toString()).toMatch(/^ok {4}call: on falco\.notice\.>: webhook/m)
  const tried = await runFalcoNats([...config, '--test', dir.file('a.json')], { program })
  expect(tried.stdout.toString()).toMatch(/^call: acts\n {2}would webhook: /m)
  expect([check.code, tried.code]).toEqual([0, 0])
  const missing = await runFalcoNats([...config, '--test', dir.file('no.json')], { program })
  expect(missing.code).toBe(2)
})
