"""The notifier's named queries; its migrations are in `migrations`."""
