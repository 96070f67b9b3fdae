import { expect, it } from 'vitest'
import { createVirtualTime, settled } from './virtual-clock.ts'

function setUp() {
  const time = createVirtualTime()
  const calls: [at: number, what: string][] = []
  return {
    time,
    clock: time.clockFor(),
    calls,
    note: (what: string) => () => void calls.push([time.now(), what]),
    /** To the end, or to `until`. */
    async run(until?: number): Promise<void> {
      await settled()
      while (time.next(until)) await settled()
    },
  }
}

it('runs events in the order of their times, and those of one moment as they were asked for', async () => {
  const { time, note, calls, run } = setUp()
  const when = [5, 3, 9, 3, 0, 5, 7, 1, 3, 8, 2, 6]
  for (const [n, at] of when.entries()) time.at(at, note(`${n}`))
  await run()
  const expected = when.map((at, n): [number, string] => [at, `${n}`]).sort(([a], [b]) => a - b)
  expect(calls).toEqual(expected)
  expect(time.next()).toBe(false)
})

it('stands still until it is moved on, and goes no further than it is told', async () => {
  const { time, clock, note, calls, run } = setUp()
  time.at(10, note('first'))
  time.at(20, note('second'))
  await run(10)
  expect([calls, time.now(), clock.now()]).toEqual([[[10, 'first']], 10, 10])
  expect(clock.date()).toBe(Date.UTC(2026, 0, 1) + 10)
  // What is over happens now.
  time.at(3, note('late'))
  await run()
  expect(calls.slice(1)).toEqual([
    [10, 'late'],
    [20, 'second'],
  ])
})

it('calls nothing that was cancelled, be it in its own moment', async () => {
  const { time, clock, note, calls, run } = setUp()
  let timer = clock.after(5, note('cancelled'))
  time.at(1, () => timer[Symbol.dispose]())
  time.at(7, () => timer[Symbol.dispose]())
  time.at(2, () => {
    timer = clock.after(5, note('cancelled'))
  })
  const called = clock.after(8, note('called'))
  time.at(8, () => called[Symbol.dispose]())
  await run()
  expect(calls).toEqual([[8, 'called']])
})

it('calls again and again, also where a call cancels it', async () => {
  const { clock, note, calls, run } = setUp()
  const timer = clock.every(10, () => {
    note('again')()
    if (calls.length === 3) timer[Symbol.dispose]()
  })
  await run(1000)
  expect(calls.map(([at]) => at)).toEqual([10, 20, 30])
})

it('waits as long as it is asked to, or until the signal aborts', async () => {
  const { time, clock, note, calls, run } = setUp()
  const stop = new AbortController()
  clock.delay(5, stop.signal).then(note('over'))
  clock.delay(50, stop.signal).then(note('over'), note('aborted'))
  time.at(10, () => stop.abort(new Error('stop')))
  await run(20)
  expect(calls).toEqual([
    [5, 'over'],
    [10, 'aborted'],
  ])
  await expect(clock.delay(5, stop.signal)).rejects.toThrow('stop')
  expect(time.next()).toBe(false)
})

it('aborts a signal in time', async () => {
  const { clock, note, calls, run } = setUp()
  const late = clock.timeout(15)
  late.addEventListener('abort', note('late'))
  await run()
  expect(calls).toEqual([[15, 'late']])
  expect(late.reason).toMatchObject({ name: 'TimeoutError' })
})

it('takes no time to look for what has arrived, but a turn', async () => {
  const { time, clock, note, calls, run } = setUp()
  time.at(0, note('has arrived'))
  clock.afterPoll().then(note('looked'))
  await run()
  expect(calls).toEqual([
    [0, 'has arrived'],
    [0, 'looked'],
  ])
})

it('calls nothing of a life that is over', async () => {
  const { time, note, calls, run } = setUp()
  let isAlive = true
  const clock = time.clockFor(() => isAlive)
  clock.after(5, note('alive'))
  clock.after(15, note('dead'))
  clock.every(4, note('every'))
  clock.delay(15).then(note('dead'))
  clock.timeout(15).addEventListener('abort', note('dead'))
  time.at(10, () => {
    isAlive = false
    clock.afterPoll().then(note('dead'))
  })
  time.at(20, note('the world goes on'))
  await run()
  expect(calls).toEqual([
    [4, 'every'],
    [5, 'alive'],
    [8, 'every'],
    [20, 'the world goes on'],
  ])
})

it('is settled when all has run that needs no time, however long the chain', async () => {
  let steps = 0
  const chain = async () => {
    while (steps < 1000) {
      await Promise.resolve()
      steps++
    }
  }
  void chain()
  await settled()
  expect(steps).toBe(1000)
})
