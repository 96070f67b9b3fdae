// The one primitive with which the stages wait for each other.

export type Notifier = ReturnType<typeof createNotifier>

/** Something to wait for again and again: `notify` wakes all that wait at that moment. */
export function createNotifier() {
  let waiting: PromiseWithResolvers<void> | undefined
  return {
    wait(): Promise<void> {
      waiting ??= Promise.withResolvers()
      return waiting.promise
    },
    notify(): void {
      waiting?.resolve()
      waiting = undefined
    },
  }
}
