// How the process ends: with what is left of its log, although something may be blocked.

import { standardError } from './output.ts'

/** How long a blocked standard error may take the rest of the log. */
const LOG_GRACE_MS = 500

/** Ends the process now. */
export function end(code: number): never {
  try {
    standardError().flush(LOG_GRACE_MS)
    // Node waits for each thread of its pool, and one that looks up a name may take minutes. Only another
    // program in our place ends it at once.
    if (process.getActiveResourcesInfo().includes('GetAddrInfoReqWrap'))
      process.execve?.(process.execPath, [process.execPath, '-e', `process.exit(${code})`], {
        ...process.env,
        NODE_OPTIONS: '',
      })
  } finally {
    process.exit(code)
  }
}
