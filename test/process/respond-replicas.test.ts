// Alerts through two replicas, one of which is killed again and again: each is acted upon, none is lost.
// RESPOND=long for 10,000 of them.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'nats'
import { expect, it } from 'vitest'
import { numberedAlert } from '../support/fixtures.ts'
import { startHttpServer } from '../support/http-server.ts'
import { askJetStream, createStream, startNats } from '../support/nats.ts'
import { tempDir } from '../support/temp.ts'
import { until } from '../support/wait.ts'

const LONG = process.env.RESPOND === 'long'
const ALERTS = LONG ? 10_000 : 1_000
const REPLICA = new URL('../support/replica.ts', import.meta.url).pathname
/** As many as a replica has in hand when it is killed. */
const IN_HAND = 8

/** Counts what it is told of by path. */
async function openRecorder() {
  const actions = new Map<number, number>()
  const server = await startHttpServer()
  server.answer = (response, { path }) => {
    const n = Number(path.slice(1))
    actions.set(n, (actions.get(n) ?? 0) + 1)
    response.end()
  }
  return Object.assign(server, { actions })
}

it(`acts upon each of ${ALERTS} alerts though a replica is killed at random`, async () => {
  using dir = tempDir()
  await using server = await startNats(`jetstream { store_dir: "${dir.path}" }`)
  await createStream(server.url)
  await using recorder = await openRecorder()
  const start = (): ChildProcess =>
    spawn(process.execPath, [REPLICA, server.url, recorder.url], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { PATH: process.env.PATH },
    })
  const steady = start()
  let victim = start()
  // Before it says so, a signal just ends it.
  let started = once(victim, 'message')
  const consumer = async () =>
    (await askJetStream(server.url, 'CONSUMER.INFO.ALERTS.replicas-replicas')) as unknown as {
      num_pending: number
      num_ack_pending: number
      num_redelivered: number
    }
  let kills = 0
  let redelivered = 0
  try {
    await until('the consumer is there', () => consumer().catch(() => undefined))
    await using connection = await connect({ servers: server.url })
    const publishing = (async () => {
      for (let n = 0; n < ALERTS; n++) {
        connection.publish('falco.notice.terminal_shell_in_container', numberedAlert(n))
        // Two minutes are not needed to see ten thousand go through.
        if (n % 10 === 9) await delay(LONG ? 30 : 40)
      }
      await connection.flush()
    })()
    for (;;) {
      const before = recorder.actions.size
      // It comes up, works, and dies in the middle of it.
      const killing = delay(900 + 2_000 * Math.random()).then(() => true)
      if (!(await Promise.race([killing, publishing]))) break
      if (recorder.actions.size === before) continue
      victim.kill('SIGKILL')
      await once(victim, 'exit')
      kills++
      victim = start()
      started = once(victim, 'message')
    }
    await started
    await until('all is acknowledged', async () => {
      const { num_pending, num_ack_pending, num_redelivered } = await consumer()
      redelivered = Math.max(redelivered, num_redelivered)
      return num_pending + num_ack_pending === 0
    })
  } finally {
    for (const child of [steady, victim]) {
      child.kill('SIGTERM')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    }
  }
  const times = [...recorder.actions.values()]
  const doubles = times.reduce((sum, count) => sum + count - 1, 0)
  console.info(
    `${ALERTS} alerts, ${kills} kills: ${recorder.actions.size} acted upon, ${doubles} twice, up to ${redelivered} redelivered at a time`,
  )
  expect(recorder.actions.size).toBe(ALERTS)
  expect(kills).toBeGreaterThan(0)
  // Twice only what was done, and not yet remembered, when its replica was killed.
  expect(doubles).toBeLessThanOrEqual(kills * IN_HAND)
  expect([steady.exitCode, victim.exitCode]).toEqual([0, 0])
})
