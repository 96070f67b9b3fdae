// Alerts that were read and are not delivered, in order: in flight, then the spool, then memory.
//
//   in flight ◀──take── spool: rows on disk ◀──spill── memory: batches ◀──push── batcher
//                       (--spool-dir, --spool-bytes)   (--buffer-bytes)
//
// When the server stalls, or memory is full, memory goes to disk, oldest first, and so do new batches
// until all rows are in flight. When both are full, alerts are shed, or reading stops (--when-full).

import type { Clock } from '../../shared/clock.ts'
import type { Logger } from '../../shared/log.ts'
import type { Counters } from '../accounting/counters.ts'
import { type Batch, type BatchPool, heldBytes } from '../encoding/batch.ts'
import type { Encoder } from '../encoding/encoder.ts'
import { PIPE_BYTES_MAX } from '../input/input.ts'
import { type InFlight, inFlightOf } from './in-flight.ts'
import { createShedding } from './shedding.ts'
import { createDisk } from './spool/disk.ts'
import type { Spool } from './spool/spool.ts'
import { leastSevereKept, type WhenFull } from './when-full.ts'

export type AlertBuffer = ReturnType<typeof createAlertBuffer>

/** While spilling, new alerts are taken this often although they fill no batch. */
const SPILL_INTERVAL_MS = 200

export function createAlertBuffer(options: {
  bufferBytes: number
  whenFull: WhenFull
  spool: Spool | undefined
  encoder: Encoder
  pool: BatchPool
  counters: Counters
  log: Logger
  clock: Clock
}) {
  const { bufferBytes, whenFull, spool, encoder, pool, counters, log, clock } = options
  /** Some have a row as well. */
  const inFlight: InFlight[] = []
  // A stop puts on the disk all that is in memory and in the pipe.
  const stopBytes = bufferBytes + 4 * pool.batchBytes + PIPE_BYTES_MAX
  const disk = createDisk(spool, stopBytes, inFlight, counters, log, clock)
  const memory: Batch[] = []
  let memoryBytes = 0
  const shed = createShedding(options, disk, memory, replace, leastSevereKept(whenFull))
  let pushedAt = 0

  /** Puts others, or none, in the place of a batch in memory. */
  function replace(index: number, ...by: Batch[]): void {
    for (const batch of by) memoryBytes += heldBytes(batch)
    for (const batch of memory.splice(index, 1, ...by)) memoryBytes -= heldBytes(batch)
  }

  /** It is the oldest, so its rows must come first. False: the disk fails. */
  function storeInFlight(): boolean {
    for (const flight of inFlight) {
      flight.row ??= disk.append(flight.batch, true)
      if (!flight.row) return false
    }
    return true
  }

  /** False: memory is empty, or the disk has no room, or fails. */
  function spillOldest(): boolean {
    const oldest = memory[0]
    if (!oldest || oldest.used >= disk.room()) return false
    // Only while no rows wait: a later row would move `takenId` past those that do.
    if (disk.waiting() === 0 && !storeInFlight()) return false
    if (!disk.append(oldest)) return false
    replace(0)
    pool.giveBack(oldest)
    return true
  }

  function shrinkTo(bytes: number): void {
    while (memoryBytes > bytes && (spillOldest() || shed()));
  }

  const isEmpty = () => memory.length === 0 && !disk.isDraining()

  /** No batch can be taken unless the disk has room. */
  function memoryIsFull(mayDrop: boolean): boolean {
    if (whenFull === 'block' || !mayDrop) return memoryBytes + pool.batchBytes > bufferBytes
    // The batch may have alerts to drop. Over the limit are only those that are never dropped.
    return whenFull !== 'drop' && memoryBytes > bufferBytes
  }

  function hasRoomOnDisk(): boolean {
    // A long alert may need more room than most batches, and whatever comes waits in memory behind it.
    return Math.max(pool.batchBytes, memory[0]?.used ?? 0) < disk.room()
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
    inFlight: inFlight as readonly InFlight[],
    isDraining: disk.isDraining,
    isEmpty,
    /** Whether it takes a batch, full or not, from the batcher now. Unless it `mayDrop`, only where there is room. */
    wants(full: boolean, isStalled = false, mayDrop = true): boolean {
      if (memoryIsFull(mayDrop) && !hasRoomOnDisk()) return false
      const isSpilling = (isStalled || disk.isDraining()) && disk.isWritable()
      return full || (isSpilling && clock.now() - pushedAt > SPILL_INTERVAL_MS)
    },
    push(batch: Batch): void {
      pushedAt = clock.now()
      replace(memory.length, batch)
      shrinkTo(bufferBytes)
      // Behind rows it would wait long in memory, where a crash takes it.
      while (disk.isDraining() && spillOldest());
    },
    setOut,
    /** Puts the oldest alerts in flight. Their row, if any, stays until they are delivered. */
    take(): InFlight | undefined {
      for (let found = disk.take(); found; found = disk.take()) {
        const { lines, ...row } = found
        const flight = setOut(inFlightOf(pool.borrow(), row))
        const unreadable = encoder.addLines(flight.batch, lines)
        if (unreadable > 0) disk.change((spool) => spool.keepCopy({ ...row, lines }))
        counters.unreadable += unreadable
        if (flight.batch.count > 0) return flight
        release(inFlight.pop()!)
      }
      const batch = disk.isDraining() ? undefined : memory[0]
      if (!batch) return undefined
      replace(0)
      return setOut(inFlightOf(batch))
    },
    /** The oldest in flight is delivered. */
    done: () => release(inFlight.shift()!),
    /** The server stalls: puts everything on the disk. */
    spill(): void {
      if (disk.waiting() > 0 || storeInFlight()) while (spillOldest());
      // What a failing disk did not let go of before.
      shrinkTo(bufferBytes)
    },
    /** The process is about to end: puts everything on the disk. */
    close(): void {
      disk.useReserve()
      if (storeInFlight()) shrinkTo(0)
      disk.close()
    },
    levels: () => ({
      inFlightAlerts: alertsIn(inFlight.map(batchOf)),
      bufferAlerts: alertsIn(inFlight.filter(({ row }) => !row).map(batchOf)) + alertsIn(memory),
      bufferBytes: memoryBytes,
      spoolBytes: disk.bytes(),
    }),
    /** How many bytes memory and disk can still take; undefined while nothing waits. Asks the disk. */
    roomBytes(): number | undefined {
      if (isEmpty()) return undefined
      return Math.max(0, bufferBytes - memoryBytes) + Math.max(0, disk.room())
    },
  }
}

const batchOf = ({ batch }: InFlight) => batch
const alertsIn = (batches: readonly Batch[]) => batches.reduce((sum, { count }) => sum + count, 0)
