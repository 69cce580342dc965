import type { PatientRecord } from '../record/record.js'

/** The name of a resource among all that a participant has collected, for `leaveOut`. */
export function itemKey(
  record: Pick<PatientRecord, 'connection'>,
  resource: { readonly resourceType: string; readonly id?: string | undefined },
): string {
  return `${record.connection} ${resource.resourceType}/${resource.id ?? ''}`
}
