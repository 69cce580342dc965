/** The version of this SDK, as packages and provenance name it. */
export const version = '0.0.0'
