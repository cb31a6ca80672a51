"""Objects in customers' stores with the API of S3. Imported only where needed: botocore costs tens of megabytes."""
