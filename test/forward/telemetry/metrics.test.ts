// What the process serves, against a real server: the numbers, the format, and what must not be there.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { createMetrics } from '../../../src/forward/telemetry/metrics.ts'
import { falcoNats, memoryKiB, type Running, runFalcoNats, stopped } from '../../support/cli.ts'
import { alertLines, fixture, linesOf } from '../../support/fixtures.ts'
import { measured } from '../../support/measured.ts'
import { startNats, subscribe } from '../../support/nats.ts'
import { expectBalanced, get, type Samples, SCRAPED, scrape, total } from '../../support/scrape.ts'
import { tempDir } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'

const BUNDLE = new URL('../../../dist/falco-nats.js', import.meta.url).pathname
const FLOOD = new URL('../../support/flood.ts', import.meta.url).pathname

/** Waits until all that was given is read, and gives that scrape. */
const readAll = (running: Running, lines: number): Promise<Samples> =>
  until(`${lines} lines are read and confirmed`, async () => {
    const samples = await expectBalanced(running)
    const read = total(samples, 'falco_nats_lines_read_total')
    const isDone = read === lines && total(samples, 'falco_nats_buffer_alerts') === 0
    return isDone ? samples : undefined
  })

it('tells what became of every line', async () => {
  await using server = await startNats()
  const args = ['-f', '-', '-s', server.url, '--min-priority', 'warning', ...SCRAPED]
  await using running = falcoNats(args)
  running.child.stdin.write(fixture('stdout-mixed.log'))
  running.child.stdin.write(fixture('alerts.jsonl'))
  const samples = await readAll(running, 366)
  const sum = (name: string) => total(samples, `falco_nats_${name}`)
  expect(samples.get('falco_nats_lines_read_total{result="alert"}')).toBe(318)
  expect(sum('alerts_rejected_total')).toBe(48)
  expect(sum('alerts_filtered_total')).toBeGreaterThan(50)
  expect(samples.get('falco_nats_alerts_filtered_total{priority="warning"}')).toBe(0)
  const published = samples.get('falco_nats_alerts_published_total{mode="core",result="acked"}')!
  expect(published).toBe(318 - sum('alerts_filtered_total'))
  expect(sum('connected')).toBe(1)
  expect(sum('bytes_read_total')).toBe(
    fixture('stdout-mixed.log').length + fixture('alerts.jsonl').length,
  )
  expect(sum('batch_alerts_sum')).toBe(published)
  expect(sum('delivery_delay_seconds_count')).toBeLessThanOrEqual(published)
  expect(sum('delivery_delay_seconds_count')).toBeGreaterThan(0.9 * published)
  expect(sum('buffer_limit_bytes')).toBe(16 * 1024 * 1024)
  // What is filtered was raised by Falco all the same.
  expect(total(samples, 'falco_events')).toBe(318)
  expect(samples.get('process_cpu_seconds_total')).toBeGreaterThan(0.05)
  expect([...samples.keys()].some((name) => name.startsWith('nodejs_eventloop_lag'))).toBe(true)
  // Without a spool there is nothing to tell of one.
  expect([...samples.keys()].filter((name) => name.includes('spool_bytes'))).toEqual([])
  expect((await stopped(running)).code).toBe(0)
})

it('tells of the spool, of pauses, and that NATS is away; and is alive and ready', async () => {
  using dir = tempDir()
  await using server = await startNats('', { started: false })
  const spool = ['--spool-dir', dir.file('spool'), '--spool-bytes', '4MiB']
  const args = ['-f', '-', '-s', server.url, '--buffer-bytes', '512KiB', ...spool, ...SCRAPED]
  await using running = falcoNats(args)
  const input = Buffer.concat(Array(40).fill(fixture('alerts.jsonl')))
  running.child.stdin.write(input)
  const full = await until('buffer and spool are full', async () => {
    const samples = await expectBalanced(running)
    // A moment may come before the spool is in use.
    const isFull = total(samples, 'falco_nats_spool_alerts') > 0
    return isFull && total(samples, 'falco_nats_input_paused') === 1 ? samples : undefined
  })
  const sum = (name: string) => total(full, `falco_nats_${name}`)
  expect([sum('connected'), sum('reconnects_total'), sum('spool_limit_bytes')]).toEqual([
    0,
    0,
    4 * 1024 * 1024,
  ])
  expect(sum('spool_alerts')).toBeGreaterThan(0)
  expect(sum('spool_bytes')).toBeGreaterThan(100 * sum('spool_alerts'))
  expect((await get(running, '/livez')).status).toBe(200)
  expect((await get(running, '/readyz')).status).toBe(200)
  const nats = await get(running, '/readyz?nats')
  expect([nats.status, await nats.text()]).toEqual([503, 'not connected to NATS\n'])
  await server.start()
  const after = await readAll(running, 12_000)
  expect(total(after, 'falco_nats_input_paused_seconds_total')).toBeGreaterThan(0)
  expect(total(after, 'falco_nats_spool_alerts')).toBe(0)
  expect((await get(running, '/readyz?nats')).status).toBe(200)
})

it('is not ready any more while it stops, and still tells', async () => {
  await using server = await startNats('', { started: false })
  await using running = falcoNats([
    '-f',
    '-',
    '-s',
    server.url,
    '--drain-timeout',
    '60s',
    ...SCRAPED,
  ])
  running.child.stdin.write(fixture('alerts.jsonl'))
  await until('all is read', async () => total(await scrape(running), 'falco_events') === 300)
  running.child.kill('SIGTERM')
  await running.logged('stopping')
  const ready = await get(running, '/readyz')
  expect([ready.status, await ready.text()]).toEqual([
    503,
    'stopping: what was read is being delivered\n',
  ])
  expect((await get(running, '/livez')).status).toBe(200)
  await expectBalanced(running)
  running.child.kill('SIGTERM')
  expect(await running.exited()).toBe(1)
})

it('counts what a stream had already apart', async () => {
  using dir = tempDir()
  await using server = await startNats(`jetstream { store_dir: "${dir.file('jetstream')}" }`)
  const args = ['-f', '-', '-s', server.url, '--jetstream', '--create-stream', ...SCRAPED]
  await using running = falcoNats(args)
  running.child.stdin.write(Buffer.concat([fixture('alerts.jsonl'), fixture('alerts.jsonl')]))
  const samples = await readAll(running, 600)
  const published = (result: string) =>
    samples.get(`falco_nats_alerts_published_total{mode="jetstream",result="${result}"}`)
  expect([published('acked'), published('duplicate')]).toEqual([300, 300])
})

describe('what Falco reports of itself', () => {
  it('passes any least priority, is counted and logged', async () => {
    await using server = await startNats()
    await using subscriber = await subscribe(server.url)
    const args = ['-f', '-', '-s', server.url, '--min-priority', 'emergency', ...SCRAPED]
    await using running = falcoNats(args)
    running.child.stdin.write(fixture('internal-alerts.jsonl'))
    const samples = await readAll(running, 2)
    await subscriber.count(2)
    expect(subscriber.messages.map(({ subject }) => subject)).toEqual([
      'falco.debug.falco_internal_syscall_event_drop',
      'falco.informational.falco_internal_metrics_snapshot',
    ])
    const of = (name: string, labels = '') => samples.get(`falco_nats_falco_${name}${labels}`)
    expect([of('drops_total'), of('reports_malformed_total')]).toEqual([1, 0])
    const [, snapshot] = linesOf(fixture('internal-alerts.jsonl'))
    const { time, output_fields: fields } = JSON.parse(String(snapshot))
    const syscall = '{source="syscall"}'
    expect(of('snapshot_timestamp_seconds', syscall)).toBe(Date.parse(time) / 1000)
    expect(of('events_per_second', syscall)).toBe(fields['falco.evts_rate_sec'])
    expect([of('kernel_drops', syscall), of('queue_drops', syscall)]).toEqual([0, 0])
    await running.logged('Falco dropped system calls')
  })

  it('is served no longer than it is fresh, but for its time', async () => {
    const shown = async (readAt: number) => {
      const numbers = { eventsPerSecond: 1.5, kernelDrops: 2, queueDrops: 3 }
      const snapshots = new Map([['a', { time: 4_000, readAt, ...numbers }]])
      const text = String(await createMetrics(() => measured({ now: 20_000_000, snapshots }))())
      return text.match(/^falco_nats_falco_\w+\{.*$/gm)
    }
    expect(await shown(10_000_000)).toEqual([
      'falco_nats_falco_snapshot_timestamp_seconds{source="a"} 4',
      'falco_nats_falco_events_per_second{source="a"} 1.5',
      'falco_nats_falco_kernel_drops{source="a"} 2',
      'falco_nats_falco_queue_drops{source="a"} 3',
    ])
    expect(await shown(5_000_000)).toEqual([
      'falco_nats_falco_snapshot_timestamp_seconds{source="a"} 4',
    ])
  })
})

describe('falco_events', () => {
  const odd = (field: string, value: unknown) =>
    `${JSON.stringify({ priority: 'Notice', rule: 'r', [field]: value })}\n`
  const HOSTILE = 'a"} 1\nfalco_events{rule="x\\'

  it('cannot be broken out of by any name', async () => {
    await using server = await startNats()
    await using running = falcoNats(['-f', '-', '-s', server.url, ...SCRAPED])
    const lines = [
      odd('rule', HOSTILE),
      odd('source', HOSTILE),
      odd('hostname', HOSTILE),
      odd('tags', [HOSTILE, 'b']),
      odd('output_fields', { 'k8s.ns.name': HOSTILE, 'k8s.pod.name': '\u0000\u202e\ud800' }),
      odd('rule', '# HELP x y\r\n'),
    ]
    running.child.stdin.write(lines.join(''))
    await readAll(running, lines.length)
    const text = await (await get(running, '/metrics')).text()
    const shapes = text.split('\n').filter((line) => line.startsWith('falco_events{'))
    expect(shapes).toHaveLength(lines.length)
    const labels = 'rule|priority|hostname|source|tags|k8s_ns_name|k8s_pod_name'
    const series = new RegExp(
      `^falco_events\\{((${labels})="([^"\\\\\n]|\\\\["\\\\n])*",?){7}\\} 1$`,
    )
    for (const line of shapes) expect(line).toMatch(series)
    // A line is a comment, blank, or a sample: nothing else has come in.
    for (const line of text.split('\n'))
      expect(line).toMatch(/^(# (HELP|TYPE) \w+ |\w+(\{[^\n]*\})? \S+$|$)/)
  })

  it('is bounded by default, and tells how much was folded', async () => {
    await using server = await startNats()
    const args = ['-f', '-', '-s', server.url, '--max-series', '100', ...SCRAPED]
    await using running = falcoNats(args)
    for (let n = 0; n < 1000; n++)
      running.child.stdin.write(odd('output_fields', { 'k8s.pod.name': `p${n}` }))
    const samples = await readAll(running, 1000)
    const series = [...samples.keys()].filter((name) => name.startsWith('falco_events{'))
    expect(series.length).toBeLessThanOrEqual(100)
    expect(total(samples, 'falco_events')).toBe(1000)
    expect(total(samples, 'falco_nats_falco_events_series_folded_total')).toBeGreaterThan(900)
  })

  it.each([
    ['off', 0],
    ['full', 3000],
  ])('has, where it is %s, %i series of 3000 pods', async (mode, expected) => {
    await using server = await startNats()
    const args = ['-f', '-', '-s', server.url, '--falco-events', mode, ...SCRAPED]
    await using running = falcoNats(args)
    for (let n = 0; n < 3000; n++)
      running.child.stdin.write(odd('output_fields', { 'k8s.pod.name': `p${n}` }))
    const samples = await readAll(running, 3000)
    expect([...samples.keys()].filter((name) => name.startsWith('falco_events'))).toHaveLength(
      expected,
    )
  })
})

it('shows neither secrets nor what alerts say', async () => {
  await using server = await startNats('authorization { user: falco, password: s3cr3t-word }')
  const args = ['-f', '-', '-s', server.url, '--user', 'falco', ...SCRAPED]
  await using running = falcoNats(args, { env: { NATS_PASSWORD: 's3cr3t-word' } })
  const lines = alertLines()
  running.child.stdin.write(fixture('alerts.jsonl'))
  await readAll(running, lines.length)
  const text = await (await get(running, '/metrics')).text()
  const seen = `${text}${running.stderr()}`
  expect(seen).not.toContain('s3cr3t-word')
  const outputs = lines.map((line) => JSON.parse(String(line)).output).filter(Boolean)
  expect(outputs.length).toBeGreaterThan(200)
  expect(outputs.filter((output) => seen.includes(output))).toEqual([])
})

it('serves nothing when it is off or dry, and ends at once when its port is taken', async () => {
  await using server = await startNats()
  const off = await runFalcoNats(['-f', '-', '-s', server.url, '--metrics-address', 'off'])
  const dry = await runFalcoNats(['-f', '-', '--dry-run', ...SCRAPED])
  for (const { code, stderr } of [off, dry]) {
    expect(code).toBe(0)
    expect(stderr).not.toContain('/metrics')
  }
  using dir = tempDir()
  await using running = falcoNats(['-f', '-', '-s', server.url, ...SCRAPED])
  const { address } = await running.logged('serving /metrics')
  const args = ['-f', dir.file('nats'), '-s', server.url, '--metrics-address', String(address)]
  const { code, stderr } = await runFalcoNats(args)
  expect(code).toBe(2)
  expect(stderr).toBe(
    `falco-nats: --metrics-address "${address}": another process has this port; allowed: another address, or off\n`,
  )
})

it('scrapes while alerts flow, and takes nothing away', async () => {
  await using server = await startNats()
  await using subscriber = await subscribe(server.url)
  await using running = falcoNats(['-f', '-', '-s', server.url, ...SCRAPED])
  const input = Buffer.concat(Array(30).fill(fixture('alerts.jsonl')))
  running.child.stdin.end(input)
  for (let scrapes = 0; subscriber.messages.length < 9000 && scrapes < 1000; scrapes++)
    await expectBalanced(running).catch((error) => {
      // It may have come to its end in between: whether in order, its exit code says.
      if (error.name === 'AssertionError') throw error
    })
  expect(await running.exited()).toBe(0)
  await subscriber.count(9000)
  expect(subscriber.messages).toHaveLength(9000)
})

describe('under a flood of requests whose answers are not read', () => {
  it.each([
    ['1,500 on a connection', 1, 1500],
    ['20 on each of 800 connections', 800, 20],
    ['one on each of 800 connections', 800, 1],
  ])('%s: memory stays, health is answered, alerts flow', async (_, connections, requests) => {
    await using server = await startNats()
    await using subscriber = await subscribe(server.url)
    const args = ['-f', '-', '-s', server.url, ...SCRAPED]
    await using running = falcoNats(args, { program: [process.execPath, BUNDLE] })
    const alerts = podAlerts(2000)
    running.child.stdin.write(alerts)
    await subscriber.count(2000)
    const quietKiB = memoryKiB(running.child.pid!)
    const { address } = await running.logged('serving /metrics')
    const port = String(address).split(':').at(-1)!
    const flood = spawn(process.execPath, [FLOOD, port, String(connections), String(requests)])
    try {
      await once(flood.stdout, 'data')
      const tookMs: number[] = []
      for (let round = 2; round <= 6; round++) {
        const askedAt = performance.now()
        expect((await get(running, '/livez')).status).toBe(200)
        tookMs.push(performance.now() - askedAt)
        running.child.stdin.write(alerts)
        await subscriber.count(2000 * round)
        await delay(1000)
      }
      // One may come late on a busy machine, whatever we do.
      expect(tookMs.sort((a, b) => a - b)[3]).toBeLessThan(1000)
      expect(memoryKiB(running.child.pid!, 'VmHWM') - quietKiB).toBeLessThan(30 * 1024)
    } finally {
      flood.kill('SIGKILL')
      await once(flood, 'exit')
    }
    expect(total(await scrape(running), 'falco_events')).toBe(12_000)
    expect((await stopped(running)).code).toBe(0)
  })
})

/** One alert of each of `count` pods, a line each. */
const podAlerts = (count: number) =>
  Array.from({ length: count }, (_, n) => {
    const pod = { 'k8s.ns.name': 'shop', 'k8s.pod.name': `web-${n}` }
    return `${JSON.stringify({ output_fields: pod, priority: 'Notice', rule: 'Shell in pod' })}\n`
  }).join('')
