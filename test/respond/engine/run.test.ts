// Steps one after the other: those that fail, hang, or must not be repeated; and their report.

import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { StepOutcome } from '../../../src/respond/engine/outcomes.ts'
import { type Run, report, within } from '../../../src/respond/engine/run.ts'
import { StepError } from '../../../src/respond/steps/step.ts'
import { arrivalOf, fakeStep, planned, playbookOf, withEngine } from '../../support/engine.ts'
import { type NatsServer, startNats } from '../../support/nats.ts'

let server: NatsServer
beforeAll(async () => {
  server = await startNats()
})
afterAll(() => server[Symbol.asyncDispose]())

const DONE = { kind: 'done', matched: true }

it.each([
  ['a StepError that may pass', new StepError('away', { retryable: true }), 'retry'],
  ['a StepError that may not', new StepError('never', { retryable: false }), 'giveUp'],
  ['an unknown error', new TypeError('oh'), 'retry'],
])('stops at %s', async (_what, error, kind) => {
  const failing = fakeStep(() => Promise.reject(error), { name: 'bad' })
  const next = fakeStep(() => 'done', { name: 'next' })
  const playbook = playbookOf([failing, next])
  await withEngine(server.url, playbook, async ({ runner, reported }) => {
    const result = await runner.handle(playbook, arrivalOf())
    expect(result).toEqual({ kind, reason: `bad: ${error.message}` })
    expect(reported.map(({ step, outcome }) => [step, outcome])).toEqual([['bad', 'failed']])
  })
  const going = playbookOf([planned(failing, { continueOnError: true }), next])
  await withEngine(server.url, going, async ({ runner, reported }) => {
    expect(await runner.handle(going, arrivalOf())).toEqual(DONE)
    expect(reported.map(({ outcome }) => outcome)).toEqual(['failed', 'ok'])
  })
})

it('does not do twice what must not be repeated', async () => {
  const ran: string[] = []
  let broken = true
  const playbook = playbookOf([
    fakeStep(() => void ran.push('message'), { name: 'message', repeatable: false }),
    fakeStep(() => void ran.push('label'), { name: 'label' }),
    fakeStep(() => (broken ? Promise.reject(new Error('away')) : 'ok'), { name: 'call' }),
  ])
  await withEngine(server.url, playbook, async ({ runner, reported }) => {
    expect(await runner.handle(playbook, arrivalOf())).toMatchObject({ kind: 'retry' })
    broken = false
    reported.length = 0
    expect(await runner.handle(playbook, arrivalOf(1, 2))).toEqual(DONE)
    expect(ran).toEqual(['message', 'label', 'label'])
    expect(reported.map(({ step, delivery }) => [step, delivery])).toEqual([
      ['label', 2],
      ['call', 2],
    ])
    // Another alert is another matter.
    expect(await runner.handle(playbook, arrivalOf(2))).toEqual(DONE)
    expect(ran.filter((what) => what === 'message')).toHaveLength(2)
  })
})

it('leaves behind a step that does not heed its signal', async () => {
  let aborted = false
  const hanging = fakeStep(({ signal }) => {
    signal.addEventListener('abort', () => {
      aborted = true
    })
    return new Promise(() => {})
  })
  const playbook = playbookOf([planned(hanging, { timeoutMs: 50 })])
  await withEngine(server.url, playbook, async ({ runner }) => {
    const reason = 'fake: took longer than its timeout of 0.05 s'
    expect(await runner.handle(playbook, arrivalOf())).toEqual({ kind: 'retry', reason })
    expect(aborted).toBe(true)
  })
})

it('gives up what runs when it is asked to end at once', async () => {
  const playbook = playbookOf([fakeStep(() => new Promise(() => {}))])
  await withEngine(server.url, playbook, async ({ runner, abandon }) => {
    const result = runner.handle(playbook, arrivalOf())
    abandon.abort()
    const reason = 'fake: given up: asked to end at once'
    expect(await result).toEqual({ kind: 'retry', reason })
  })
})

it('gives back what it is asked to end, also where the step may fail', async () => {
  const run = fakeStep(() => new Promise<never>(() => {}), { name: 'endless' })
  const playbook = playbookOf([planned(run, { continueOnError: true })])
  await withEngine(server.url, playbook, async ({ runner, abandon }) => {
    const handled = runner.handle(playbook, arrivalOf())
    abandon.abort()
    expect(await handled).toMatchObject({
      kind: 'retry',
      reason: expect.stringContaining('asked to end at once'),
    })
  })
})

it('reports each step with the targets that were found by then', () => {
  const reported: StepOutcome[] = []
  const outcomes = { report: (outcome: StepOutcome) => void reported.push(outcome) }
  const alert = { rule: 'r', priority: 'Notice' }
  const about = { alert, id: 'id', subject: 's', playbook: 'p', dryRun: true }
  const run = { outcomes, about, delivery: 2, found: {} } as unknown as Run
  const step = planned(fakeStep(() => 'done', { name: 'act' }))
  const result = { outcome: 'dry_run', text: 'would', durationMs: 1 } as const
  const pod = { namespace: 'n', name: 'p', uid: 'u', nodeName: undefined }
  report(run, step, result)
  Object.assign(run.found, { pod, node: 'there is no node n' })
  report(run, step, result)
  const all = { ...about, ...result, step: 'act', delivery: 2, node: undefined }
  expect(reported).toEqual([
    { ...all, pod: undefined },
    { ...all, pod },
  ])
})

const abandon = () => new AbortController()

it('gives what came in time, and passes on what failed', async () => {
  const { signal } = abandon()
  expect(await within(60_000, signal, async () => 'done')).toBe('done')
  await expect(within(60_000, signal, () => Promise.reject(new Error('oh')))).rejects.toThrow('oh')
})

it.each([
  ['heeds it with its own error', (signal: AbortSignal) => delay(60_000, '', { signal })],
  [
    'heeds it as if it were done',
    (signal: AbortSignal) =>
      new Promise<string>((resolve) => signal.addEventListener('abort', () => resolve('done'))),
  ],
  ['does not heed it', () => new Promise<string>(() => {})],
])('ends what takes too long with the same error where it %s', async (_how, act) => {
  await expect(within(20, abandon().signal, act)).rejects.toMatchObject({
    message: 'took longer than its timeout of 0.02 s',
    retryable: true,
  })
})

it('ends at once what is abandoned, then or before', async () => {
  const now = abandon()
  const begun = within(60_000, now.signal, () => new Promise(() => {}))
  now.abort()
  await expect(begun).rejects.toThrow('given up: asked to end at once')
  const act = vi.fn((signal: AbortSignal) => delay(60_000, '', { signal }))
  await expect(within(60_000, now.signal, act)).rejects.toThrow('given up: asked to end at once')
  expect(act).not.toHaveBeenCalled()
})
