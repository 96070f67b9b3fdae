// The alerts read and not yet in flight, in order: the spool first, if there is one, then memory.
//
//   take ◀── spool: rows on disk ◀──spill── memory: batches ◀── push
//            (--spool-dir, --spool-bytes)   (--buffer-bytes)
//
// While the server confirms, nothing is spilled. When it stalls, or memory is full, memory goes to
// disk, oldest first, and so do new batches until all rows are in flight again. When both are full,
// reading stops or alerts are shed.

import type { Logger } from '../../shared/log.ts'
import type { Counters } from '../accounting/counters.ts'
import type { Batch, BatchPool } from '../encoding/batch.ts'
import type { Encoder } from '../encoding/encoder.ts'
import { PIPE_BYTES_MAX } from '../input/fifo.ts'
import { type InFlight, inFlightOf } from './in-flight.ts'
import { createMemory } from './memory.ts'
import { createShedding } from './shedding.ts'
import { createDisk } from './spool/disk.ts'
import type { Spool } from './spool/spool.ts'

export interface AlertBufferOptions {
  readonly bufferBytes: number
  readonly whenFull: 'block' | 'drop'
  readonly spool: Spool | undefined
  readonly encoder: Encoder
  readonly pool: BatchPool
  readonly counters: Counters
  readonly log: Logger
}

export type AlertBuffer = ReturnType<typeof createAlertBuffer>

/** While spilling, new alerts are taken this often although they fill no batch. */
const SPILL_INTERVAL_MS = 200

export function createAlertBuffer(options: AlertBufferOptions) {
  const { bufferBytes, whenFull, spool, encoder, pool, counters, log } = options
  //  oldest                                                        newest
  //  inFlight (some are rows as well) │ waiting rows │ memory │ batcher
  const inFlight: InFlight[] = []
  // So that a stop can leave in the spool all that is in memory and in the pipe.
  const stopBytes = bufferBytes + 4 * pool.batchBytes + PIPE_BYTES_MAX
  const disk = createDisk(spool, stopBytes, counters, log)
  const memory = createMemory()
  const shed = createShedding({ encoder, pool, counters, memory, disk })
  let pushedAt = 0

  /** Whether new alerts wait behind rows. While those cannot be read, memory goes first. */
  const isDraining = () => disk.waiting() > 0 && !disk.isUnreadable()
  const isOver = () => memory.bytes() > bufferBytes
  const isFull = () =>
    memory.bytes() + pool.batchBytes > bufferBytes && !disk.hasRoom(pool.batchBytes)

  /** Batches in flight are the oldest: their rows must come first. False: the disk fails. */
  function storeInFlight(): boolean {
    return inFlight.every((flight) => {
      flight.row ??= disk.appendTaken(flight.batch)
      return flight.row !== undefined
    })
  }

  /** False: nothing is left, or the disk has no room, or fails. */
  function spillOldest(): boolean {
    const oldest = memory.batches[0]
    if (!oldest || !disk.hasRoom(oldest.used)) return false
    // What is in flight went ahead of rows that could not be read: it would be taken for newer.
    if (disk.waiting() === 0 && !storeInFlight()) return false
    if (!disk.append(oldest)) return false
    memory.replace(0)
    pool.giveBack(oldest)
    return true
  }

  /** By the spool, and by shedding where that is wanted. */
  function makeRoom(isNeeded: () => boolean): void {
    while (isNeeded() && (spillOldest() || (whenFull === 'drop' && shed())));
  }

  function setOut(flight: InFlight): InFlight {
    inFlight.push(flight)
    return flight
  }

  function release({ batch, row }: InFlight): void {
    if (row) disk.release(row)
    pool.giveBack(batch)
  }

  return {
    /** Taken and not yet done, in order. */
    inFlight: inFlight as readonly InFlight[],

    isDraining,

    isEmpty: () => memory.batches.length === 0 && !isDraining(),

    /** Whether a batch, full or not, is to be taken from the batcher now, to be held. */
    wants(full: boolean, isStalled = false): boolean {
      if (whenFull === 'block' && isFull()) return false
      const isSpilling = (isStalled || isDraining()) && disk.isWritable()
      return full || (isSpilling && performance.now() - pushedAt > SPILL_INTERVAL_MS)
    },

    push(batch: Batch): void {
      pushedAt = performance.now()
      memory.push(batch)
      makeRoom(isOver)
      // Behind rows it would wait long in memory, where a crash takes it.
      while (isDraining() && spillOldest());
    },

    setOut,

    /** The oldest that is not in flight, which it is now. In the spool it stays until it is done. */
    take(): InFlight | undefined {
      for (let found = disk.take(); found; found = disk.take()) {
        const { row, lines } = found
        const flight = inFlightOf(pool.borrow(), row)
        const unreadable = encoder.addLines(flight.batch, lines)
        if (unreadable > 0) disk.change((spool) => spool.keepCopy({ ...row, lines }))
        counters.unreadable += unreadable
        if (flight.batch.count > 0) return setOut(flight)
        release(flight)
      }
      const batch = isDraining() ? undefined : memory.replace(0)
      return batch && setOut(inFlightOf(batch))
    },

    /** The oldest in flight is delivered. */
    done(): void {
      release(inFlight.shift()!)
    },

    /** The server stalls: all to the disk. */
    spill(): void {
      if (disk.waiting() > 0 || storeInFlight()) while (spillOldest());
    },

    /** We are about to end: all to the disk. */
    close(): void {
      disk.useReserve()
      if (storeInFlight()) makeRoom(() => memory.batches.length > 0)
      disk.close()
    },

    levels() {
      const unstored = inFlight.filter(({ row }) => !row || !disk.holds(row))
      return {
        inFlightAlerts: alertsIn(inFlight),
        bufferAlerts: alertsIn(unstored) + memory.alerts(),
        bufferBytes: memory.bytes(),
        spoolBytes: disk.bytes(),
      }
    },
  }
}

const alertsIn = (flights: readonly InFlight[]) =>
  flights.reduce((sum, { batch }) => sum + batch.count, 0)
