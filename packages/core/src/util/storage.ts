import { SmartError } from '../errors.js'

/** Runs one storage operation; its failure becomes the typed error. */
export async function storage<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw new SmartError('CONFIG_STORAGE_FAILED', 'the store could not be read or written', { cause })
  }
}
