import { type Connection, coreOf } from './connection.js'
import { SmartError } from './errors.js'
import type { RequestOptions, Resource, ResourceType } from './fhir/types.js'
import { userPath } from './smart/identity.js'

/**
 * Reads the resource of whoever signed in: a Patient, Practitioner, PractitionerRole, RelatedPerson or Person.
 *
 * @throws SmartError `FHIR_FOREIGN_URL` when it is kept at another server, `FHIR_NOT_FOUND` when nobody is known to
 *   have signed in: the client was made without an identity check, or the check could not prove it
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-identity-data
 */
export async function readUser(connection: Connection, options: RequestOptions = {}): Promise<Resource> {
  const { identity, provider } = connection
  const subject = provider.id
  coreOf(connection)
  const fhirUser = identity?.status === 'verified' ? identity.fhirUser : undefined
  if (fhirUser === undefined)
    throw new SmartError('FHIR_NOT_FOUND', `${provider.name} did not prove who signed in`, { subject })
  const path = userPath(fhirUser, provider.iss)
  if (!path)
    throw new SmartError('FHIR_FOREIGN_URL', 'whoever signed in is a resource of another server', { subject })
  return (await connection.readEntry(path.type as ResourceType, path.id, options)).resource
}
