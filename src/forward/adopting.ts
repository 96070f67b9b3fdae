// --adopt-file: what Falco wrote into a file, since it was first, goes before what it writes into the pipe.

import { messageOf } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'
import { type Counters, held, total } from './accounting/counters.ts'
import type { Environment } from './environment.ts'
import { type AdoptedReader, createAdoptedReader } from './input/read-adopted.ts'
import type { ChunkSink } from './input/read-rest.ts'
import type { Source } from './input/source.ts'

/** How often it is looked whether all alerts of the file are confirmed. */
const LOOK_MS = 1_000
/** How long the file is kept after that: a writer may still have it open. */
const QUIET_MS = 60_000

/** Takes the file from the pipe's place, if one is there. Undefined where there is none; throws a FatalError. */
export function adoptFile(
  path: string,
  readBytes: number,
  { clock, inputs }: Pick<Environment, 'clock' | 'inputs'>,
  counters: Counters,
  log: Pick<Logger, 'info' | 'warn' | 'error'>,
) {
  const file = inputs.adopt(path)
  if (file === undefined) return undefined
  const { name, unkept } = file
  log.info({ file: name, bytes: file.size }, 'Falco was first: reading its file before the pipe')
  if (unkept !== undefined)
    log.warn({ reason: unkept }, 'the file has no name any more: a crash now would lose its alerts')
  let hasName = unkept === undefined
  let isSettled = () => false
  let quietSince = clock.now()
  let [isReported, isLate, isBroken] = [false, false, false]
  /** Lines and no alert among them are not Falco's: the file was named by mistake. */
  let hasAlerts = false

  function remove(): void {
    hasName = false
    file!.remove()
    log.info({ file: name }, 'all alerts of the file are confirmed or spooled: it is removed')
  }

  function removeIfQuiet(): void {
    if (!hasName || !hasAlerts || isLate || isBroken || !isSettled()) return
    if (!isReported)
      log.info(
        { file: name },
        'all alerts of the file are confirmed or spooled: it is kept for a minute, since a writer may still have it open',
      )
    isReported = true
    if (clock.now() - quietSince >= QUIET_MS && file!.left() === 0) remove()
  }

  function onLate(): void {
    if (!isLate)
      log.warn(
        { file: name },
        'Falco still writes to the file: it needs keep_alive: false, and a restart; what it writes after our end is lost',
      )
    isLate = true
    // What has come since is not delivered yet.
    isSettled = () => held(counters) <= counters.spooled
  }

  /** An error of the file costs what is left in it, not the pipe. */
  async function guarded<T>(reading: Promise<T>): Promise<T | undefined> {
    try {
      return await reading
    } catch (error) {
      isBroken = true
      log.error({ file: name, reason: messageOf(error) }, 'the file cannot be read: it is kept')
      return undefined
    }
  }

  /** Reads the pipe and, until `stop`, what is added to the file. */
  async function both(
    pump: (sink: ChunkSink) => Promise<void>,
    sink: ChunkSink,
    reader: AdoptedReader,
    stop: AbortSignal,
  ): Promise<void> {
    const pumped = new AbortController()
    let isCutOff = false
    guarded(reader.follow(AbortSignal.any([stop, pumped.signal]), onLate))
    try {
      await pump({
        ...sink,
        end: (value) => {
          isCutOff = value
        },
      })
    } finally {
      pumped.abort()
      if (!isBroken) await guarded(reader.rest(onLate))
      sink.end(isCutOff)
    }
  }

  return {
    /** Reads the file, then the pipe by `pump`. */
    before:
      (pump: Source['pump']): Source['pump'] =>
      async (batcher, stop, hurry) => {
        const sink = { ...batcher, room: shared(batcher.room) }
        const reader = createAdoptedReader(clock, file, Buffer.allocUnsafeSlow(readBytes), sink)
        const before = { bytesRead: counters.bytesRead, alerts: alertsRead(counters) }
        const isRead = await guarded(reader.first(stop))
        const isEmpty = counters.bytesRead === before.bytesRead
        hasAlerts = isEmpty || alertsRead(counters) > before.alerts
        if (!hasAlerts && isRead) log.warn({ file: name }, 'the file has no alert: it is kept')
        if (!isRead) return await pump(sink, stop, hurry)
        isSettled = settlement(counters)
        quietSince = clock.now()
        using _timer = clock.every(LOOK_MS, removeIfQuiet)
        await both((beside) => pump(beside, stop, hurry), sink, reader, stop)
      },
    /** All that could be delivered is. */
    end(): void {
      const bytes = file.left()
      if (bytes > 0 && hasName)
        log.warn(
          { file: name, bytes },
          'the adopted file was not read to its end: it is kept, and the next start forwards it again',
        )
      else if (bytes > 0) {
        log.warn(
          { file: name, bytes },
          'the adopted file was not read to its end: the rest is lost',
        )
        // At least one line.
        counters.read++
      } else if (hasName && hasAlerts && !isBroken && isSettled()) remove()
      file.close()
    },
  }
}

const alertsRead = ({ read, rejectedLines }: Counters) => read - total(Object.values(rejectedLines))

/** One wait for all who want it: the sink counts how long it lasts. */
function shared(room: ChunkSink['room']): ChunkSink['room'] {
  let waiting: Promise<void> | undefined
  return (stop) => {
    waiting ??= room(stop).finally(() => {
      waiting = undefined
    })
    return waiting
  }
}

/**
 * Whether all alerts that are held now are delivered, spooled or counted, from then on: the oldest go first, and memory
 * overtakes only what is on the disk.
 */
function settlement(counters: Counters): () => boolean {
  const { delivered } = counters
  const before = held(counters)
  let isSettled = false
  return () => {
    isSettled ||= held(counters) <= counters.spooled || counters.delivered - delivered >= before
    return isSettled
  }
}
