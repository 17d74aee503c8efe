package rig

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/minio/minio-go/v7"
	miniocredentials "github.com/minio/minio-go/v7/pkg/credentials"
)

// Keys are the access key and the secret of the S3 endpoint.
func (s *Server) Keys() (access, secret string) {
	s.t.Helper()
	body, err := os.ReadFile(filepath.Join(s.Data, "s3.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	var k struct {
		Access string `json:"access_key"`
		Secret string `json:"secret_key"`
	}
	if err := json.Unmarshal(body, &k); err != nil {
		s.t.Fatal(err)
	}
	return k.Access, k.Secret
}

// AWS is Amazon's S3 client against the server's front door.
func (s *Server) AWS() *s3.Client {
	access, secret := s.Keys()
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(s.URL), Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(access, secret, ""),
	})
}

// Minio is MinIO's S3 client against the server's front door.
func (s *Server) Minio() *minio.Client {
	s.t.Helper()
	access, secret := s.Keys()
	client, err := minio.New(s.URL[len("http://"):], &minio.Options{Creds: miniocredentials.NewStaticV4(access, secret, "")})
	if err != nil {
		s.t.Fatal(err)
	}
	return client
}
