import type { Cell } from '@s4s/core/tables'

/** A table that is being written. */
export interface Sink {
  /** Waits only when enough rows have come together to be written. */
  write(cells: readonly Cell[]): Promise<void> | undefined
  close(): Promise<void>
  /** Closes it as it is. */
  abandon(): Promise<void>
}
