// Stands in for the parts of fhir-kit-client that core never calls: references, paging, SMART discovery. Each of
// them would follow what a server says to wherever it says.
export class ReferenceResolver {}
export class Pagination {}
export const authFromCapability = nothing
export const authFromWellKnown = nothing

function nothing() {
  throw new TypeError('this is not part of the build')
}
