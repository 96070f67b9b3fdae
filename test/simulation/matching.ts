// Whether each alert that is missing can be one of those that were counted, each count used once.

/** `reasonsOf` gives the counts that can be true of an item, the likeliest first. Returns the items that none is left for. */
export function unexplained<Item, Reason>(
  items: readonly Item[],
  reasonsOf: (item: Item) => readonly Reason[],
  counted: ReadonlyMap<Reason, number>,
): Item[] {
  /** By reason: the items that have it. */
  const taken = new Map<Reason, Item[]>()

  /** Finds room for the item, if need be by moving others to another of their reasons. */
  function place(item: Item, tried: Set<Reason>): boolean {
    for (const reason of reasonsOf(item)) {
      if (tried.has(reason)) continue
      tried.add(reason)
      const items = taken.get(reason) ?? []
      taken.set(reason, items)
      if (items.length < (counted.get(reason) ?? 0)) return items.push(item) > 0
      for (const [index, other] of items.entries())
        if (place(other, tried)) {
          items[index] = item
          return true
        }
    }
    return false
  }

  return items.filter((item) => !place(item, new Set()))
}
