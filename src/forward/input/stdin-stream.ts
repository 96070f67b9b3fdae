// Standard input that is a file, a terminal or /dev/null: they cannot be polled, so Node's own stream reads them.

import { fstatSync } from 'node:fs'
import { addAbortSignal } from 'node:stream'
import type { ChunkSink } from './read-rest.ts'

/** Reads until the end, or until `stop` and the line that has begun. True: more may have come. */
export async function pumpStdinStream(
  readBytes: number,
  sink: ChunkSink,
  stop: AbortSignal,
  hurry: AbortSignal,
): Promise<boolean> {
  // A terminal may stay silent; the next bytes of a file are always there.
  const input = addAbortSignal(fstatSync(0).isFile() ? hurry : stop, process.stdin)
  try {
    for await (const chunk of input as AsyncIterable<Buffer>)
      for (let at = 0; at < chunk.length; at += readBytes) {
        const piece = chunk.subarray(at, at + readBytes)
        if (!sink.write(stop.aborted ? restOfLine(piece, sink) : piece)) await sink.room(stop)
        if (stop.aborted && !sink.isMidLine()) return false
      }
    return false
  } catch (error) {
    if (!stop.aborted) throw error
    return true
  }
}

/** The bytes that end the line that has begun; none where none has. */
function restOfLine(bytes: Buffer, sink: ChunkSink): Buffer {
  if (!sink.isMidLine()) return bytes.subarray(0, 0)
  const newline = bytes.indexOf('\n')
  return newline < 0 ? bytes : bytes.subarray(0, newline + 1)
}
